"""A draft's texts read for its forms: what it declares as far as it is sound, and where each mistake belongs."""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from cashwrap.condition import Environment
from cashwrap.declarations import Declarations, ExperienceDecl
from cashwrap.playbook.check import CheckedPlaybook, check_playbook
from cashwrap.playbook.document import Document, Node, read_document
from cashwrap.playbook.faults import Fault, Faults
from cashwrap.playbook.granting import granted_by
from cashwrap.playbook.read import read_documents
from cashwrap.versions import playbook_files


class Read(Struct, frozen=True):
    """A draft as read: nothing of it need be sound."""

    checked: CheckedPlaybook
    faults: tuple[Fault, ...]
    documents: Mapping[str, Document]

    @property
    def declared(self) -> Declarations:
        """What it declares."""
        return self.checked.declarations

    @property
    def environment(self) -> Environment:
        """What its conditions may name."""
        return self.checked.environment

    def of(self, section: str, name: str) -> list[tuple[tuple[str, ...], Fault]]:
        """The complaints about one entry, each with the keys below the entry that it is about."""
        return [
            (path[2:], fault)
            for fault in self.faults
            if (path := self._path(fault))[:2] == (section, name) or path == (section,)
        ]

    def _path(self, fault: Fault) -> tuple[str, ...]:
        """The keys on the way to where a complaint stands."""
        document = self.documents.get(fault.file)
        node, path = (document.root if document is not None else None), list[str]()
        while node is not None:
            node = None if (below := _before(node, (fault.line, fault.column))) is None else below[1]
            path += [below[0]] if below is not None else []
        return tuple(path)


def read_draft(files: Mapping[str, str]) -> Read:
    """Read and check a draft's files, cases left aside. Never raises: mistakes are its ``faults``."""
    faults = Faults()
    documents = {name: read_document(name, text, faults) for name, text in sorted(playbook_files(files).items())}
    checked = check_playbook(read_documents(documents, faults), faults)
    return Read(checked, faults.sorted(), documents)


def _before(node: Node, place: tuple[int, int]) -> tuple[str, Node] | None:
    """The last thing below a node that begins at a place or before it."""
    found = None
    for key, below in _below(node):
        began = (below.key_line, below.key_column) if below.key_line else (below.line, below.column)
        if began > place:
            break
        found = key, below
    return found


def _below(node: Node) -> Iterator[tuple[str, Node]]:
    if isinstance(node.value, dict):
        yield from node.value.items()
    elif isinstance(node.value, list):
        yield from ((str(place), each) for place, each in enumerate(node.value))


def who_refers(read: Read, section: str, name: str) -> list[tuple[str, str]]:
    """What of the draft names an entry, as (section, name): what renaming or removing it would break."""
    declared, checked = read.declared, read.checked
    conditions = {
        **{("segments", each): found for each, found in checked.segments.items()},
        **{("offers", each): found for each, found in checked.offers.items()},
        **{("experiences", each): found for each, found in checked.experiences.items()},
    }
    if section == "offers":
        return [("experiences", each.name) for each in declared.experiences.values() if _grants(each, name, declared)]
    if section == "segments":
        wanted = {f"segments.{name}"}
        return [of for of, found in conditions.items() if found is not None and wanted & {*found.attributes}]
    if section == "features":
        known = (name, f"{name}.", f"{name}[")
        return [
            of
            for of, found in conditions.items()
            if found is not None and any(path == name or path.startswith(known[1:]) for path in found.attributes)
        ]
    return []


def _grants(experience: ExperienceDecl, offer: str, declared: Declarations) -> bool:
    return any(each.name == offer for each in granted_by(experience, declared))
