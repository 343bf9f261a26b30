"""The public names of each package with the first sentence of what documents them."""

import ast
import importlib
import inspect
import itertools
import pkgutil
import re
import sys
from types import ModuleType

import cashwrap

PUBLIC = ("cashwrap", "cashwrap.testing")
"""What a program outside may rely on; the other packages are rooms of the house."""


def packages() -> list[str]:
    """Every package that names its exports, the public ones first."""
    found = [name for _, name, is_package in pkgutil.walk_packages(cashwrap.__path__, "cashwrap.") if is_package]
    rooms = sorted(name for name in found if name not in PUBLIC and exports(name))
    return [*PUBLIC, *rooms]


def exports(package: str) -> list[str]:
    """The names in ``__all__``."""
    return list(getattr(importlib.import_module(package), "__all__", ()))


def document(package: str, name: str) -> str:
    """What documents a name: its docstring, or for a constant the text below it; empty where nothing does."""
    module = importlib.import_module(package)
    value = getattr(module, name)
    if inspect.isclass(value) or inspect.isroutine(value):
        return first_sentence(own_docstring(value))
    return first_sentence(next((text for part in _parts(module) if (text := _below(part, name))), ""))


def own_docstring(value: object) -> str:
    """The docstring, unless it is one that Python or a base class made up."""
    text = vars(value).get("__doc__") if inspect.isclass(value) else getattr(value, "__doc__", None)
    return inspect.cleandoc(text) if text else ""


def first_sentence(text: str) -> str:
    """Up to the first full stop, on one line, in Markdown."""
    plain = " ".join(text.split("\n\n", maxsplit=1)[0].split()).replace("``", "`")
    found = re.match(r"(.+?[.:])(?= [A-Z`]|$)", plain)
    return (found[1] if found else plain).rstrip(":")


def _parts(module: ModuleType) -> list[ModuleType]:
    """The package and its modules. A module whose name a function has taken is not among the package's attributes."""
    return [module, *(part for name, part in sorted(sys.modules.items()) if name.startswith(f"{module.__name__}."))]


def _below(module: ModuleType, name: str) -> str:
    """The string literal that follows an assignment to ``name``."""
    body = ast.parse(inspect.getsource(module)).body
    for node, after in itertools.pairwise(body):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        named = any(isinstance(target, ast.Name) and target.id == name for target in targets)
        if named and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            return str(after.value.value)
    return ""
