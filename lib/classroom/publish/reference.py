"""The reference of the library: what glassbox offers, in the words of its own docstrings."""

import importlib
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import glassbox

PLACE = "<!-- reference -->"
SPECIAL = re.compile(r"([\\*_{}\[\]<>#|$~^])")
ENTRY = re.compile(r"([^:]{1,60}):\s\s+(\S.*)")  # parameters stand in columns, so two blanks at least follow a name


def reference() -> str:
    """All public modules of glassbox and what they define, in Markdown."""
    return "\n\n".join(part for module in modules() for part in _module(module))


def modules() -> list[ModuleType]:
    """The modules that are public themselves or define something that is."""
    found = {}
    for name in glassbox.__all__:
        value = getattr(glassbox, name)
        home = value if inspect.ismodule(value) else inspect.getmodule(value)
        if home is not None and home.__name__.startswith("glassbox."):
            found[home.__name__] = home
    found["glassbox.methods"] = importlib.import_module("glassbox.methods")
    return [found[name] for name in sorted(found)]


def _module(module: ModuleType) -> Iterator[str]:
    yield f"## `{module.__name__}`"
    yield described(inspect.getdoc(module) or "")
    for name, value in vars(module).items():
        is_own = inspect.getmodule(value) is module and not name.startswith("_")
        if is_own and inspect.isfunction(value):
            yield from _entry(name, value)
        elif is_own and inspect.isclass(value):
            yield from _class(name, value)


def _class(name: str, value: type) -> Iterator[str]:
    yield f"### `{name}`"
    yield described(inspect.getdoc(value) or "")
    for inner, member in vars(value).items():
        function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
        if not inner.startswith("_") and inspect.isfunction(function) and function.__doc__:
            signature = "" if isinstance(member, property) else _signature(function)
            yield f"`.{inner}{signature}`\n: {described(inspect.getdoc(function)).replace(chr(10), chr(10) + '  ')}"


def _entry(name: str, function: Any) -> Iterator[str]:
    yield f"### `{name}`"
    yield f"```python\n{name}{_signature(function)}\n```"
    yield described(inspect.getdoc(function) or "")


class _Name(str):
    """A default that is a function, by its name: as Python shows it, it would have a place in memory."""

    __repr__ = str.__str__


def _signature(function: Any) -> str:
    """The parameters with their defaults; their types are told in the text below, in words."""
    signature = inspect.signature(function)
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    shown = [
        each.replace(default=_Name(each.default.__name__)) if inspect.isroutine(each.default) else each
        for each in bare
        if each.name != "self"
    ]
    return str(signature.replace(parameters=shown, return_annotation=inspect.Signature.empty))


def described(docstring: str) -> str:
    """A docstring as Markdown: paragraphs, parameters as a list, and formulas, which stand indented, as they are."""
    parts = []
    for block in re.split(r"\n\s*\n", docstring.strip("\n")):
        lines = block.split("\n")
        indent = len(lines[0]) - len(lines[0].lstrip())
        lines = [line[indent:] for line in lines]
        if ENTRY.fullmatch(lines[0]):
            parts.append("\n".join(_listed(lines)))
        elif indent:
            parts.append("```text\n" + "\n".join(lines) + "\n```")
        else:
            parts.append(escaped(" ".join(line.strip() for line in lines)))
    return "\n\n".join(parts)


def _listed(lines: list[str]) -> Iterator[str]:
    for line in lines:
        entry = None if line.startswith(" ") else ENTRY.fullmatch(line)
        if entry:
            yield f"- **{escaped(entry[1])}**: {escaped(entry[2])}"
        else:
            yield f"  {escaped(line.strip())}"


def escaped(text: str) -> str:
    """Text in which Markdown finds no markup but the code in backticks."""
    pieces = re.split(r"(`[^`]+`)", text)
    return "".join(
        piece if piece.startswith("`") and len(piece) > 1 else SPECIAL.sub(r"\\\1", piece) for piece in pieces
    )
