"""What every view is: one piece of HTML that works alone, and the same numbers as plain tables.

The piece holds the tables first, then the data as JSON, then a function that draws the view in the tables' place. Where
no script runs (an untrusted notebook, a printout, a page with scripts off) the tables stay. Nothing is fetched.

Tokens and names are data: in the tables they are escaped, in the JSON no `<` stands as itself, and the script makes
text of them and never markup. The id is a hash of all that is shown, so the same view is the same bytes each time.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Table:
    """A table of texts; each row's first cell names the row."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def html(self) -> str:
        # The tags that HTML lets us leave out are left out: a matrix has hundreds of cells.
        head = "".join(f"<th scope=col>{escape(name)}" for name in self.columns)
        body = "".join(
            f"<tr><th scope=row>{escape(row[0])}" + "".join(f"<td>{escape(cell)}" for cell in row[1:])
            for row in self.rows
        )
        caption = escape(self.caption)
        return (
            f'<div class=gb-scroll tabindex=0 role=group data-lm-suppress-shortcuts aria-label="{caption}">'
            f"<table class=gb-table><caption>{caption}</caption><thead><tr>{head}<tbody>{body}</table></div>"
        )

    def __str__(self) -> str:
        lines = [self.columns, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            [self.caption]
            + [
                "  ".join(cell.ljust(width) if place == 0 else cell.rjust(width) for place, (cell, width) in each)
                for each in ([*enumerate(zip(line, widths, strict=True))] for line in lines)
            ]
        )


@dataclass(frozen=True, eq=False, repr=False)
class View:
    """What a notebook shows as an interactive view, or as its tables; `plot` gives the static figure of the same data.

    kind:    which part of the script draws it.
    title:   one line that says what is shown.
    data:    what the script gets, made of numbers, texts, lists and dictionaries.
    tables:  the same for a reader without scripts.
    figure:  draws the figure, with the given title.
    """

    kind: str
    title: str
    data: dict[str, Any]
    tables: Sequence[Table]
    figure: Callable[[str], Figure]

    def plot(self, title: str | None = None) -> Figure:
        """The static figure of the same data; `title` should state what it shows."""
        return self.figure(title or self.title)

    def __repr__(self) -> str:
        return "\n\n".join([self.title, *map(str, self.tables)])

    def _repr_html_(self) -> str:
        data = json.dumps(self.data, ensure_ascii=False, separators=(",", ":"))
        data = data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
        tables = "".join(table.html() for table in self.tables)
        name = f"gb-{sha256((self.kind + data + tables).encode('utf-8', 'replace')).hexdigest()[:10]}"
        style, script = _assets(self.kind)
        # The classes keep MathJax from reading formulas into tokens, whichever version a page brings.
        return (
            f'<div id="{name}" class="gb-view mathjax_ignore tex2jax_ignore" data-lm-suppress-shortcuts>'
            f"<style>{style}</style><div class=gb-title>{escape(self.title)}</div>{tables}"
            f'<script type="application/json">{data}</script>'
            f'<script>(() => {{"use strict";\n{script}\nstart("{name}", draw);\n}})();</script></div>'
        )


def label(token: str) -> str:
    """A token as it is shown: its spaces stay, and what can't be seen is written out, as a line break is by \\n."""
    return repr(token)[1:-1]


def name(token: str, longest: int = 16) -> str:
    """A token as a short name of a row, column or axis."""
    shown = label(token).strip() or "␣"
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def rounded(values: torch.Tensor, digits: int = 4) -> list:
    """Numbers with so many significant digits, nested as the tensor is."""
    return _rounded(values.tolist(), digits)


def _rounded(value: Any, digits: int) -> Any:
    return [_rounded(each, digits) for each in value] if isinstance(value, list) else float(f"{value:.{digits}g}")


def bytes_of(shares: torch.Tensor) -> tuple[str, torch.Tensor]:
    """Shares from 0 to 1 at one byte each, in base64, and what the script will read from it, of the same shape.

    The byte is 255 times the root of a share, so small ones are finer: none is off by more than 0.004.
    """
    steps = (255 * shares.double().clamp(0, 1).sqrt()).round()
    return base64.b64encode(bytes(steps.int().flatten().tolist())).decode(), ((steps / 255) ** 2)


@cache
def _assets(kind: str) -> tuple[str, str]:
    """The style, and of the script what all views share and what this kind needs; comments and indents left out."""
    style = re.sub(r"/\*.*?\*/", "", _parts("views.css", kind), flags=re.S)
    lines = [line.strip() for line in _parts("views.js", kind).splitlines()]
    return (
        re.sub(r"\s*([{};:,])\s+", r"\1", re.sub(r"\s+", " ", style)).strip(),
        "\n".join(line for line in lines if line and not line.startswith("//")),
    )


def _parts(file: str, kind: str) -> str:
    """Of a file in parts, each headed by the names of the views that it is for, what this kind needs."""
    text = (files("glassbox") / "views" / file).read_text(encoding="utf-8")
    parts = re.findall(r"^(?://|/\*) == ([\w ]+) ==[^\n]*\n(.*?)(?=^(?://|/\*) == |\Z)", text, re.M | re.S)
    return "".join(part for names, part in parts if {"shared", kind} & set(names.split()))
