"""An explanation as people and programs read it: the values written out, the segments opened to what they are made of.

One code for the command, the HTTP API and whatever else asks why. Pure.
"""

from collections.abc import Mapping

from msgspec import Struct

from cashwrap.condition import Explanation
from cashwrap.condition import explain as explain_condition
from cashwrap.condition.check import Checked
from cashwrap.decide import GrantingAnswer, told
from cashwrap.experiences import Reached
from cashwrap.explain import Explained
from cashwrap.model import Answer, Inputs
from cashwrap.playbook import Playbook
from cashwrap.segments import Segment


class Part(Struct, frozen=True):
    """A condition or a part of one. ``result`` is null where it is unknown.

    ``values`` has what it read, by name, and ``written`` the same as a person writes it: money in major units with the
    shop's currency. Of what ``segments`` opens only ``values`` tells.
    """

    text: str
    result: bool | None
    values: Mapping[str, object] = {}
    written: Mapping[str, str] = {}
    parts: tuple["Part", ...] = ()
    segments: tuple["Opened", ...] = ()


class Opened(Struct, frozen=True):
    """A segment that a condition names, one level deep: its own condition, or why it has none to show."""

    name: str
    result: bool | None
    condition: Part | None = None
    why: str = ""


class Told(Struct, frozen=True):
    """One experience, and why it was shown or not."""

    experience: str
    priority: int
    outcome: str
    why: str
    condition: Part | None


class Placed(Struct, frozen=True):
    """A placement's answer, every experience that could have been it, and what it came to in which arm."""

    answer: Answer | GrantingAnswer
    considered: list[Told]
    reached: list[Reached]


def tell(playbook: Playbook, inputs: Inputs, explained: Mapping[str, Explained]) -> dict[str, Placed]:
    """Each placement's explanation; ``playbook`` and ``inputs`` are those of the decision that is explained."""
    teller = _Teller(playbook, inputs)
    return {
        name: Placed(
            told(each.answer),
            [
                Told(
                    considered.experience,
                    considered.priority,
                    considered.outcome,
                    considered.why,
                    teller.part(considered.condition) if considered.condition is not None else None,
                )
                for considered in each.considered
            ],
            each.reached,
        )
        for name, each in explained.items()
    }


def part_of(playbook: Playbook, inputs: Inputs, checked: Checked) -> Part:
    """One condition of this playbook, judged by these inputs."""
    return _Teller(playbook, inputs).part(explain_condition(checked, inputs.values))


class _Teller:
    def __init__(self, playbook: Playbook, inputs: Inputs) -> None:
        self._playbook = playbook
        self._values = inputs.values
        self._models = inputs.models
        self._segments: dict[str, Segment] = {segment.flat: segment for segment in playbook.segments.ordered}

    def part(self, explained: Explanation, *, inside: bool = True) -> Part:
        """With ``inside`` also what the segments it names are made of."""
        named = [name for name in explained.values if inside and name in self._segments]
        return Part(
            explained.text,
            explained.result,
            explained.values,
            {name: self._written(name, value) for name, value in explained.values.items() if name not in named},
            tuple(self.part(each, inside=inside) for each in explained.parts),
            tuple(self._opened(self._segments[name]) for name in named),
        )

    def _written(self, name: str, value: object) -> str:
        """As a person writes it; of a prediction also which version of its model said so."""
        written, version = self._playbook.written(name, value), self._models.get(name)
        return f"{written} ({name}@{version})" if version and value is not None else written

    def _opened(self, segment: Segment) -> Opened:
        value = self._values.get(segment.flat)
        result = value if isinstance(value, bool) else None
        if segment.checked is None:
            why = "unknown without consent" if result is None else "pushed in from outside"
            return Opened(segment.name, result, why=why)
        explained = explain_condition(segment.checked, self._values)
        return Opened(segment.name, explained.result, self.part(explained, inside=False))
