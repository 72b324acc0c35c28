"""Constructors of dataclasses, written out in the source that mypyc compiles.

Fact (mypyc 2.4): what `dataclass` generates stays interpreted, also on a compiled class: each `__init__` is called
with a dict of its arguments and sets them one by one through descriptors. One that stands in the source is compiled,
and compiled callers pass their arguments as C does.

What is frozen knows only what was there before it, so no ring of dead objects passes through it: mypyc is told, and the
collector has none of these objects to walk. (One that holds a dict could be put into that dict; none of ours is.)
"""

from __future__ import annotations

import ast

_ACYCLIC = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr
"""
"""mypyc reads the decorator and never calls it; where compiled code runs, the package may be missing."""


def with_constructors(source: str) -> str:
    """The module's source, in which each dataclass has an `__init__` of its own; as it is where there is none.

    It does what the generated one does: takes every field by name, in any order, with the same defaults.
    """
    module = ast.parse(source)
    hints: list[ast.stmt] = []
    first = next((at for at, node in enumerate(module.body) if isinstance(node, ast.ClassDef)), 0)
    for node in module.body:
        if isinstance(node, ast.ImportFrom) and node.module == "schemas.frozen":
            node.module = "dataclasses"
        elif isinstance(node, ast.ClassDef):
            for decorator in [*node.decorator_list]:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "dataclass":
                    _write_out(node, decorator)
                    hints.append(_hints(node))
    if not hints:
        return source  # with its comments, those for the checker too
    module.body[first:first] = ast.parse(_ACYCLIC).body
    module.body += hints
    return ast.unparse(module) + "\n"


def _write_out(node: ast.ClassDef, decorator: ast.Call) -> None:
    words = {word.arg for word in decorator.keywords}
    for word in decorator.keywords:
        if word.arg == "frozen":  # the checker would let no constructor assign; at run time it means the same
            word.arg = "unsafe_hash"
            node.decorator_list.append(ast.parse("mypyc_attr(acyclic=True)", mode="eval").body)
    decorator.keywords.append(ast.keyword("init", ast.Constant(value=False)))
    fields = _fields(node)
    lines = ["def __init__(self, " + ("*, " if "kw_only" in words else "")]
    for item in fields:
        default = "" if item.value is None else f" = {ast.unparse(item.value)}"
        lines[0] += f"{ast.unparse(item.target)}: {ast.unparse(item.annotation)}{default}, "
    lines[0] += ") -> None:"
    lines += [f"    self.{name} = {name}" for name in (ast.unparse(item.target) for item in fields)]
    node.body += ast.parse("\n".join(lines)).body


def _hints(node: ast.ClassDef) -> ast.stmt:
    """The annotations as they stand: of `tuple[str, ...]` a compiled class remembers `tuple`."""
    hints = {ast.unparse(item.target): ast.unparse(item.annotation) for item in _fields(node)}
    return ast.parse(f"setattr({node.name}, '__annotations__', {hints!r})").body[0]


def _fields(node: ast.ClassDef) -> list[ast.AnnAssign]:
    return [item for item in node.body if isinstance(item, ast.AnnAssign)]
