"""A newer version of the course, and a student's answers in it.

Git never touches `work/`. `update` takes each copy there that comes from an older version of its chapter, makes the new
version beside it, carries the answers over by their exercises' names, and keeps the old file. Nothing is thrown away:
what has no place in the new chapter stands below the cell that it followed, and everything stands in the old file.
"""

import copy
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.utils import compute_checksum

from classroom.execute import write
from classroom.source import is_solution, marks
from classroom.study import chapters, checked


@dataclass
class Update:
    """What became of one copy: "newest", "updated" or "left as it is", where its old file is, and what to look at."""

    path: Path
    status: str
    kept: Path | None = None
    notes: list[str] = field(default_factory=list)


def update(root: Path, names: Iterable[str] = ()) -> list[Update]:
    """Bring the named copies in `work/` (all, when none is named) to the newest version of their chapters.

    Raises ValueError for a name that is no chapter.
    """
    available = chapters(root)
    paths = {name: root / "work" / name / f"{name}.ipynb" for name in checked(names, available)}
    return [_one(paths[name], available[name]) for name in paths if os.path.lexists(paths[name])]


def _one(path: Path, released: Path) -> Update:
    if path.is_symlink() or not path.is_file():
        return Update(path, "left as it is", notes=["it is no file of its own"])
    new = nbformat.read(released, as_version=4)
    try:
        old = nbformat.read(path, as_version=4)
        nbformat.validate(old)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
        advice = "move it away, and `classroom start` gives you a fresh copy"
        return Update(path, "left as it is", notes=[f"it can't be read as a notebook ({reason}); {advice}"])
    if _version(old) == _version(new):
        return Update(path, "newest")
    merged, notes = carried_over(old, new)
    return Update(path, "updated", _replace(path, nbformat.writes(merged)), notes)


def carried_over(old: NotebookNode, new: NotebookNode) -> tuple[NotebookNode, list[str]]:
    """The new chapter with the answers of the old one, and what the student should look at."""
    merged, notes = copy.deepcopy(new), []
    answers: dict[str, list[NotebookNode]] = {}
    for cell in filter(_is_answer, old.cells):
        answers.setdefault(_name(cell), []).append(cell)
    loose: dict[str, list[NotebookNode]] = {}
    for cell in filter(is_solution, merged.cells):
        found = [each for each in answers.pop(_name(cell), []) if each.source != cell.source]
        if not found:
            continue
        *others, last = found
        cell.source = last.source
        loose[cell.id] = others
        if marks(last).get("checksum") != marks(cell).get("checksum"):
            notes.append(f"{_name(cell)}: the exercise has changed; look whether your answer still fits")
    if answers:
        notes.append(f"no longer in the chapter, and kept below the place where it was: {', '.join(answers)}")
    known = {cell.id for cell in merged.cells}
    gone = [cell for cells in answers.values() for cell in cells]
    place = merged.cells[0].id
    for cell in old.cells:
        place = cell.get("id") if cell.get("id") in known else _name(cell) if _name(cell) in known else place
        if any(cell is each for each in gone) or _is_students_own(cell, new):
            loose.setdefault(place, []).append(cell)
    cells = []
    for cell in merged.cells:
        cells += [cell, *(_as_own(each, known) for each in loose.get(cell.id, []))]
    merged.cells = cells
    return merged, notes


def _version(notebook: NotebookNode) -> str | None:
    return notebook.metadata.get("chapter", {}).get("version")


def _name(cell: NotebookNode) -> str | None:
    return marks(cell).get("grade_id")


def _is_answer(cell: NotebookNode) -> bool:
    """Whether a student wrote in this cell: nbgrader keeps a checksum of what was handed out."""
    given = marks(cell).get("checksum")
    return is_solution(cell) and (given is None or given != compute_checksum(cell))


def _is_students_own(cell: NotebookNode, new: NotebookNode) -> bool:
    """The course's cells are named after their exercise, or after the chapter and their place in it."""
    of_course = cell.get("id", "").startswith(f"{new.metadata.chapter['name'].replace('_', '-')}-")
    return not marks(cell) and not of_course and bool(cell.source.strip())


def _as_own(cell: NotebookNode, taken: set[str]) -> NotebookNode:
    """A cell of the student's, with nothing on it that nbgrader or the course would take for theirs."""
    make = {"code": nbformat.v4.new_code_cell, "raw": nbformat.v4.new_raw_cell}.get(
        cell.cell_type, nbformat.v4.new_markdown_cell
    )
    own = make(cell.source)
    if cell.get("id") and cell.id not in taken:
        own.id = cell.id
    taken.add(own.id)
    return own


def _replace(path: Path, text: str) -> Path:
    """Put `text` in the place of the file at `path`; return where the old file is kept, under a name that was free."""
    number = 1
    while os.path.lexists(kept := path.with_name(f"{path.stem}.before-update-{number}.ipynb")):
        number += 1
    shutil.copy2(path, kept)
    write(path, text)
    return kept
