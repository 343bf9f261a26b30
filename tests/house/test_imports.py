"""Imports point down: the arrows of ARCHITECTURE.md, read from the source and not from what happens to be loaded."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "cashwrap"

LAYERS: list[set[str]] = [
    {"__main__"},
    {"cli"},
    {"demo"},
    {"testing"},
    {"console"},
    {"learning"},
    {"serve", "history", "analysis"},
    {"shoppers", "audiences", "archive", "failed"},
    {"cashwrap"},
    {"library"},
    {"engine"},
    {"retention", "backfill"},
    {"forgetting", "offering", "remote", "suggesting"},
    {"writer", "lookup"},
    {"window", "sweep"},
    {"drafts"},
    {"editing"},
    {"publishing"},
    {"versions"},
    {"expectations"},
    {"inputs", "exposures", "memberships", "records", "bundle", "tell", "previews"},
    {"names", "predicting", "promoting"},
    {"hot"},
    {"folding"},
    {"dedup"},
    {"playbook"},
    {"keys", "switches", "webhooks", "catalogues", "signing", "audit", "backlog", "repair", "learned"},
    {"counts", "tallies", "explain", "differences", "sold"},
    {"decide"},
    {"experiences", "segments", "profiles", "tokens", "request", "facts", "metrics", "pulse", "drift"},
    {"attributes", "attention", "experiments", "offers"},
    {"features", "content", "enrich", "feed", "recommend", "propensity"},
    {"readings"},
    {"extract"},
    {"sessions", "orders", "carts", "touches", "events"},
    {"consent"},
    {"aggregates"},
    {"condition", "networks"},
    {"declarations"},
    {"world"},
    {"ports", "codec"},
    {"ledger", "overload", "extras"},
    {"model"},
    {"errors", "collector", "faults"},
]
"""Top to bottom; rooms of one layer do not import each other. ``cashwrap`` is ``__init__``, the public names."""

ADAPTERS_MAY = {"adapters", "ports", "ledger", "model", "errors", "faults"}
OPTIONAL = {"numpy", "psycopg", "pyarrow"}
"""Heavy extras: imported inside one marked function each."""


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def room(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return "cashwrap" if parts[0] == "__init__" else parts[0]


def imported_rooms(source: str) -> set[str]:
    """The rooms a file names in its imports."""
    rooms = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "cashwrap":
            parts = node.module.split(".")
            if len(parts) > 1:
                rooms.add(parts[1])
            else:
                rooms.update(
                    alias.name
                    if (SOURCE / alias.name).is_dir() or (SOURCE / f"{alias.name}.py").exists()
                    else "cashwrap"
                    for alias in node.names
                )
        elif isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                if parts[0] == "cashwrap":
                    rooms.add(parts[1] if len(parts) > 1 else "cashwrap")
    return rooms


def upward(source: str, own: str) -> list[str]:
    """What this file imports that is not below it."""
    level = {name: depth for depth, names in enumerate(LAYERS) for name in names}
    wrong = []
    for name in sorted(imported_rooms(source) - {own}):
        if own == "adapters":
            allowed = name in ADAPTERS_MAY
        elif name == "adapters":
            allowed = own in {"cli", "demo", "console", "serve", "history", "testing", "library"}
        else:
            allowed = level[name] > level[own]
        if not allowed:
            wrong.append(f"{own} -> {name}")
    return wrong


def hidden_imports(source: str) -> list[str]:
    """Imports inside functions, except the optional heavy extras."""
    found = []
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                else:
                    continue
                found += [f"{function.name}: {name}" for name in names if name.split(".")[0] not in OPTIONAL]
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_down(path: Path) -> None:
    assert upward(path.read_text(), room(path)) == []


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_import_hides_in_a_function(path: Path) -> None:
    assert hidden_imports(path.read_text()) == []


def test_every_room_has_a_layer() -> None:
    known = set().union(*LAYERS) | {"adapters"}
    assert {room(path) for path in modules()} - known == set()


def module_graph() -> dict[str, set[str]]:
    """Modules inside one package, for cycles the rooms do not show."""
    graph: dict[str, set[str]] = {}
    names = {
        ".".join(("cashwrap", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
        for path in modules()
    }
    for path in modules():
        own = ".".join(("cashwrap", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
        targets: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    deeper = f"{node.module}.{alias.name}"
                    targets.add(deeper if deeper in names else node.module)
            elif isinstance(node, ast.Import):
                targets.update(alias.name for alias in node.names)
        graph[own] = {target for target in targets if target in names and target != own}
    return graph


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """One cycle, or nothing."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for target in sorted(graph[name]):
            found = visit(target, [*path, name])
            if found:
                return found
        done.add(name)
        return []

    for name in sorted(graph):
        found = visit(name, [])
        if found:
            return found
    return []


def test_no_import_cycles() -> None:
    assert cycle(module_graph()) == []


class TestTheCheckerItself:
    """Planted bugs: each must be seen."""

    def test_sees_an_upward_arrow(self) -> None:
        assert upward("from cashwrap.engine import Engine", "features") == ["features -> engine"]

    def test_sees_an_adapter_that_knows_too_much(self) -> None:
        assert upward("from cashwrap.profiles import fold", "adapters") == ["adapters -> profiles"]

    def test_sees_a_hidden_import(self) -> None:
        assert hidden_imports("def f():\n    import cashwrap.engine\n") == ["f: cashwrap.engine"]

    def test_sees_a_cycle(self) -> None:
        assert cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
