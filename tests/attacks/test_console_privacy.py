"""The console's counts, asked again and again: nobody's answer comes out of them."""

from collections.abc import Callable, Iterator

import pytest

from cashwrap.condition import Environment, Type
from cashwrap.console.groups import fitting
from cashwrap.console.groups.fitting import Fitting
from cashwrap.console.groups.groups import Veil
from cashwrap.library import open_world
from cashwrap.model import Profile, Tenant
from cashwrap.playbook import examine
from cashwrap.playbook.starter import starter_files
from cashwrap.versions import playbook_files

NAMES = Environment({"sessions": Type.NUMBER, "consent.personalization": Type.BOOL})
TRIES = 60
Asked = Callable[[], Iterator[float]]


@pytest.fixture
def told(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    """What thirty of ninety shoppers are told as, asked in many ways that mean the same."""
    crowd = [
        (bytes([number]) * 16, Profile(bytes([number]) * 16, b"", 0, session_count=1 if number < 30 else 0))
        for number in range(90)
    ]
    monkeypatch.setattr(Fitting, "_profiles", lambda _: iter(crowd))
    monkeypatch.setattr(fitting, "standing_values", lambda _, profile, __: {"sessions": profile.session_count})
    playbook, _ = examine(playbook_files(starter_files()))
    assert playbook is not None
    with open_world(tmp_path_factory.mktemp("asked") / "data", make=True, reserve=0) as world:
        asking = Fitting(world, Tenant(), Veil(b"secret"))

        def asked() -> Iterator[float]:
            for number in range(TRIES):
                spelled = f"sessions >= 1 && sessions < {number + 9}"
                yield asking.fit(spelled, playbook, NAMES).shoppers.share

        yield asked


def test_one_group_asked_for_in_many_ways_is_told_alike(told: Asked) -> None:
    assert len(set(told())) == 1


def test_a_planted_bug_is_seen(told: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that names a question anew each time: the mean of its answers is the count."""
    fresh = iter(range(10_000))
    monkeypatch.setattr(fitting._Group, "question", property(lambda _: f"fit {next(fresh)}"))
    assert len(set(told())) > 1
