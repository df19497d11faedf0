"""A chapter's source: one Python file in `solutions/`, read into a notebook whose metadata is complete.

People write nbgrader's marks in a short form (`nbgrader={"grade_id": "fuse", "solution": true}`); here the rest is
filled in, each cell gets an id that stays the same from build to build, and its line in the source is remembered, so
that whoever refuses a cell can say where it stands.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import jupytext
import yaml
from nbformat import NotebookNode

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
# No version: a notebook would otherwise change with the Python that built it.
LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}
FIELDS = {"title": str, "minutes": int, "points": int, "teaches": list, "objectives": list}


@dataclass(frozen=True)
class Problem:
    """What is wrong with a chapter, and where."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class Refused(click.ClickException):
    """A chapter that can't be built, with all its problems."""

    def __init__(self, problems: list[Problem]):
        self.problems = problems
        super().__init__("\n".join(["refused", *map(str, problems)]))


@dataclass(frozen=True)
class Chapter:
    """One source with everything known before it runs.

    `lines` gives the line of each cell id in the source; `forbidden` the dotted names that the chapter must not use:
    what it teaches itself, and what later chapters teach.
    """

    name: str
    path: Path
    title: str
    meta: dict[str, Any]
    notebook: NotebookNode
    lines: dict[str, int] = field(repr=False)
    forbidden: tuple[str, ...] = ()

    @property
    def root(self) -> Path:
        return self.path.parent.parent

    def problem(self, cell: NotebookNode | None, message: str) -> Problem:
        """A problem in `cell`, or in the header of the source if there is no cell to blame."""
        place = f"{self.path.parent.name}/{self.path.name}"
        if cell is None:
            return Problem(f"{place}, header", message)
        return Problem(f"{place}:{self.lines.get(cell.id, '?')}, cell {cell.id}", message)


def chapters(root: Path) -> list[Path]:
    """The sources of all chapters, in order."""
    return sorted((root / "solutions").glob("[0-9][0-9]_*.py"))


def load(path: Path) -> Chapter:
    """Read a chapter's source. Raises `Refused` if it is no source or its header is incomplete."""
    text = path.read_text(encoding="utf-8")
    header, first = _header(path, text)
    meta = _meta(path, header)
    notebook = jupytext.reads("\n".join(text.split("\n")[first:]).lstrip("\n"), fmt="py:percent")
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    starts = [number for number, line in enumerate(text.split("\n"), start=1) if number > first and _begins_cell(line)]
    if len(starts) != len(notebook.cells):
        raise _unreadable(path, "every cell begins with a line `# %%`; something stands before the first one")
    for position, cell in enumerate(notebook.cells):
        _complete(cell, f"{path.stem.replace('_', '-')}-{position:03d}")
    kernel = header.get("jupyter", {}).get("kernelspec") or {}
    notebook.metadata = NotebookNode(
        chapter=NotebookNode({key: meta[key] for key in ("title", "points", "minutes")}, name=path.stem),
        kernelspec=NotebookNode(kernel),
        language_info=_nodes(LANGUAGE),
    )
    lines = dict(zip((cell.id for cell in notebook.cells), starts, strict=True))
    return Chapter(path.stem, path, meta["title"], meta, notebook, lines, _forbidden(path, meta))


def marks(cell: NotebookNode) -> dict[str, Any]:
    """nbgrader's metadata of a cell, empty for a cell that it doesn't know."""
    return cell.metadata.get("nbgrader", {})


def is_graded(cell: NotebookNode) -> bool:
    return bool(marks(cell).get("grade"))


def is_solution(cell: NotebookNode) -> bool:
    return bool(marks(cell).get("solution"))


def has_tag(cell: NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


def regions(source: str, kind: str) -> Iterator[list[str]]:
    """The lines between each pair of markers of `kind`: "SOLUTION" or "HIDDEN TESTS"."""
    lines = None
    for line in source.split("\n"):
        if line.strip() == f"### BEGIN {kind}":
            lines = []
        elif line.strip() == f"### END {kind}" and lines is not None:
            yield lines
            lines = None
        elif lines is not None:
            lines.append(line)


def _unreadable(path: Path, message: str) -> Refused:
    return Refused([Problem(f"{path.parent.name}/{path.name}", message)])


def _begins_cell(line: str) -> bool:
    return re.match(r"# %%(\s|$)", line) is not None


def _header(path: Path, text: str) -> tuple[dict[str, Any], int]:
    """The YAML header, and the number of lines it takes."""
    lines = text.split("\n")
    fences = [number for number, line in enumerate(lines) if line.rstrip() == "# ---"]
    if len(fences) < 2 or fences[0] != 0:
        raise _unreadable(path, "the source begins with a YAML header between two lines `# ---`")
    try:
        header = yaml.safe_load("\n".join(line[2:] for line in lines[1 : fences[1]]))
    except yaml.YAMLError as error:
        raise _unreadable(path, f"the header is no YAML: {error}") from error
    return header or {}, fences[1] + 1


def _meta(path: Path, header: dict[str, Any]) -> dict[str, Any]:
    meta = header.get("chapter")
    if not isinstance(meta, dict):
        raise _unreadable(path, f"the header needs a block `chapter:` with {', '.join(FIELDS)}")
    for name, kind in FIELDS.items():
        if not isinstance(meta.get(name), kind):
            found = f"found {meta[name]!r}" if name in meta else "it is missing"
            raise _unreadable(path, f"`chapter: {name}` in the header must be a {kind.__name__}; {found}")
    for objective in meta["objectives"]:
        if not isinstance(objective, dict) or not {"text", "tested_by"} <= objective.keys():
            raise _unreadable(path, f"each objective is {{text: …, tested_by: [grade ids]}}; found {objective!r}")
    return meta


def _forbidden(path: Path, meta: dict[str, Any]) -> tuple[str, ...]:
    names = list(meta["teaches"])
    for other in chapters(path.parent.parent):
        if other.name > path.name:
            names += _meta(other, _header(other, other.read_text(encoding="utf-8"))[0])["teaches"]
    return tuple(names)


def _complete(cell: NotebookNode, place: str) -> None:
    for key in ("lines_to_next_cell", "lines_to_end_of_cell_marker"):
        cell.metadata.pop(key, None)
    if has_tag(cell, "quoted"):
        cell.metadata.tags = [*cell.metadata.tags, "nbval-check-output"]
    short = marks(cell)
    if short:
        graded, solution = bool(short.get("grade")), bool(short.get("solution"))
        cell.metadata.nbgrader = NotebookNode(
            {"grade": graded, "locked": graded and not solution, "schema_version": 3, "solution": solution}
            | {"task": False}
            | dict(short)
        )
    grade_id = str(short.get("grade_id", ""))
    cell.id = grade_id if re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", grade_id) else place


def _nodes(value: dict[str, Any]) -> NotebookNode:
    return NotebookNode({key: _nodes(item) if isinstance(item, dict) else item for key, item in value.items()})
