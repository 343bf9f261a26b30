"""The past again: import somebody's events, rebuild profiles from the log, derive facts for analysis.

report = import_file(world, playbook, load_mapping(path, playbook.vocabulary), file)
rebuilt = rebuild(world, playbook)              # I12: the log alone gives the live rows
write_facts(world, folder)                      # what analysis may see, as Parquet
"""

from cashwrap.folding import read_events
from cashwrap.history.facts import write_facts
from cashwrap.history.load import Options, import_file
from cashwrap.history.log import Rebuilt, rebuild
from cashwrap.history.mapping import Map, load_mapping, read_mapping
from cashwrap.history.members import read_members
from cashwrap.history.report import Report

__all__ = [
    "Map",
    "Options",
    "Rebuilt",
    "Report",
    "import_file",
    "load_mapping",
    "read_events",
    "read_mapping",
    "read_members",
    "rebuild",
    "write_facts",
]
