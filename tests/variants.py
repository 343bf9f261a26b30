"""Small playbooks that differ in one number, and a registry that dies: for what versions and publishers promise."""

from functools import cache

from cashwrap.errors import Unavailable
from cashwrap.playbook import Playbook, examine
from cashwrap.ports import Registry
from cashwrap.versions import Release, Versions

VARIANTS = 4
BROKEN = -1


def text(variant: int, comment: str = "") -> str:
    when = "cart.totl > 1" if variant == BROKEN else f"cart.total > {variant}"
    return (
        f"# {comment}\nplacements:\n  note: {{component: message}}\n"
        f"experiences:\n  hello:\n    in: note\n    when: {when}\n    show: {{text: {{en: Hello}}}}\n"
    )


def files(variant: int, comment: str = "") -> dict[str, str]:
    return {"shop.yaml": text(variant, comment)}


@cache
def playbook(variant: int) -> Playbook:
    compiled, faults = examine(files(variant))
    assert compiled is not None, faults
    return compiled


def name(variant: int) -> str:
    return playbook(variant).hash


def publish(versions: Versions, variant: int, **more: str) -> Release:
    versions.keep(playbook(variant), files(variant))
    return versions.go_live(name(variant), "publish", **more)


class Failing:
    """A registry that fails, as a killed process would, at the write that is so many writes ahead."""

    def __init__(self, registry: Registry, writes: int) -> None:
        self._registry = registry
        self._writes = writes

    def documents(self, kind: str) -> dict[str, bytes]:
        return self._registry.documents(kind)

    def put(self, kind: str, name: str, document: bytes | None) -> None:
        self._writes -= 1
        if self._writes < 0:
            raise Unavailable("killed")
        self._registry.put(kind, name, document)
