"""From a fault in a declaration back to the file, line and column it was written in. Only walked when there is one."""

import re

from cashwrap.condition.check import ConditionErrors
from cashwrap.declarations import Spot
from cashwrap.errors import ConditionError, ContentError
from cashwrap.playbook.document import WRAP, Document, Node, followed_by_comment, locate
from cashwrap.playbook.faults import Faults
from cashwrap.playbook.read import Reading

_WORDS = re.compile(r"""["']?([A-Za-z_][A-Za-z0-9_]*)(?:\.([A-Za-z_][A-Za-z0-9_]*))?""")
_FAULT = re.compile(r"(?P<file>.*?):(?P<line>\d+):(?P<column>\d+) (?P<code>\w+) (?P<message>.*)", re.DOTALL)
_TRAIT = re.compile(r"trait (\w+)")
_UNKNOWN = frozenset({"unknown_attribute", "unknown_segment"})


class Places:
    """Finds places, and complains there."""

    def __init__(self, reading: Reading, faults: Faults) -> None:
        self._documents = reading.documents
        self._unread = {name for _, name in reading.unread}
        self.faults = faults

    def excuse(self, name: str) -> None:
        """Hold nothing against conditions that name this: what it stands for was complained about already."""
        self._unread.add(name)

    def find(self, *path: str) -> tuple[Document, Node] | None:
        """The node under a path such as ``experiences, thank_regulars, show, text, en``, as deep as it goes."""
        for document in self._documents.values():
            node = document.root
            depth = 0
            for key in path:
                below = node.value.get(key) if node is not None and isinstance(node.value, dict) else None
                if below is None:
                    break
                node, depth = below, depth + 1
            if node is not None and depth >= min(2, len(path)):
                return document, node
        return None

    def spot(self, *path: str) -> Spot:
        """Where the key of a path stands."""
        found = self.find(*path)
        return found[0].key_spot(found[1]) if found else Spot(next(iter(self._documents), ""), 1, 1)

    def value_spot(self, *path: str) -> Spot:
        """Where the value of a path starts."""
        found = self.find(*path)
        return found[0].spot(found[1]) if found else self.spot(*path)

    def condition(self, error: ConditionError, *path: str) -> None:
        """Complain about every mistake of a condition, but not about names whose own declaration is broken."""
        found = self.find(*path)
        for each in error.errors if isinstance(error, ConditionErrors) else (error,):
            message = f"{each.message}; {each.hint}" if each.hint else each.message
            if found is None:
                self.faults.error(self.spot(*path), each.code, message)
                continue
            document, node = found
            if each.code in _UNKNOWN and self._is_unread(node.text[each.offset :]):
                continue
            if followed_by_comment(document, node):
                message += f"; YAML cut this at ' #': {WRAP}"
            self.faults.error(locate(document, node, each.offset), each.code, message)

    def content(self, error: ContentError, *path: str) -> None:
        """Complain about a mistake in what an experience shows, which stands under ``path``."""
        found = self.find(*path, *_steps(error.where))
        if found is None or isinstance(found[1].value, dict | list):
            where = self.value_spot(*path, *_steps(error.where))
        else:
            where = locate(*found, error.offset)
        self.faults.error(where, error.code, error.message)

    def absorb(self, faults: tuple[str, ...]) -> None:
        """Take over complaints that another room has already written as text."""
        for text in faults:
            match = _FAULT.match(text)
            if match is None:
                self.faults.error(self.spot(), "invalid_playbook", text)
                continue
            spot = Spot(match["file"], int(match["line"]), int(match["column"]))
            if not spot.file and (trait := _TRAIT.match(match["message"])):
                spot = self.value_spot("traits", trait[1])
            self.faults.error(spot, match["code"], match["message"])

    def _is_unread(self, text: str) -> bool:
        match = _WORDS.match(text)
        return match is not None and any(word in self._unread for word in match.groups())


def _steps(where: str) -> list[str]:
    """``badge.card.en`` as keys; a method's id may itself hold a point only in the middle."""
    head, _, rest = where.partition(".")
    if not rest:
        return [head] if head else []
    middle, _, tail = rest.rpartition(".")
    return [head, middle, tail] if middle else [head, tail]
