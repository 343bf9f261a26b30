"""A folder of YAML -> read -> checked -> compiled -> hashed: one value that a request sees whole or not at all."""

from cashwrap.playbook.compile import Playbook, examine, load_playbook, read_files
from cashwrap.playbook.faults import Fault

__all__ = ["Fault", "Playbook", "examine", "load_playbook", "read_files"]
