"""From what was handed in to a `Submission`: the answers found in a notebook, whatever else became of the file.

An answer is found by nbgrader's grade id, else by the cell's id, else by what the cell defines or where it stands. Of
the student's file only the words in its cells are taken over: no metadata, tags, outputs, attachments or formats.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from classroom.grade import uploads
from classroom.grade.submission import CELLS, CHARACTERS, CHARACTERS_A_CELL, NOTES, Extra, Submission
from classroom.grade.uploads import File, Upload, printable
from classroom.source import is_graded, is_solution, marks

CELLS_LOOKED_AT = 10_000
PARTS_OF_A_FILE = 1_000_000  # lists and objects: each takes far more memory than the two letters that ask for it


@dataclass(frozen=True)
class Received:
    """A submission with the place it was found in and the time of handing in, if that is known."""

    submission: Submission
    place: str
    time: str = ""


@dataclass(frozen=True)
class Unreadable:
    """An upload in which no answer could be found, and why."""

    student: str
    reason: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Intake:
    """All uploads of a class: what can be graded, what can't, and what belongs to nobody."""

    received: list[Received]
    unreadable: list[Unreadable]
    ignored: list[str]


@dataclass
class _Cell:
    kind: str
    source: str
    id: str
    grade_id: str
    attachments: bool = False


@dataclass
class _Reading:
    """One notebook of an upload, read against the released chapter."""

    file: File
    answers: dict[str, str] = field(default_factory=dict)
    extras: list[Extra] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    found: int = 0
    changed: int = 0


def take_in(
    place: Path, chapter: str, released: NotebookNode, chapters: set[str], students: set[str] = frozenset()
) -> Intake:
    """Read every upload in `place`, a folder or a zip; of these `students` only, if there are any."""
    found, ignored = uploads.find(place, chapter)
    received, unreadable = [], []
    for upload in found:
        if students and upload.student not in students:
            continue
        outcome = _read(upload, chapter, released, chapters)
        (received if isinstance(outcome, Received) else unreadable).append(outcome)
    return Intake(received, unreadable, ignored)


def _read(upload: Upload, chapter: str, released: NotebookNode, chapters: set[str]) -> Received | Unreadable:
    """The submission in an upload: that of the notebook which holds most of the chapter."""
    best: _Reading | None = None
    others, torn = [], []
    for file in uploads.notebooks(upload, chapter, chapters):
        try:
            reading = read(file, chapter, released)
        except ValueError as error:
            torn.append(f"{_place(file)}: {error}")
            continue
        if not reading.found:
            torn.append(f"{_place(file)}: none of its cells is an answer of {chapter}")
        elif best is None or _rank(reading, chapter) > _rank(best, chapter):
            others += [best] if best else []
            best = reading
        else:
            others.append(reading)
    if best is None:
        reasons = torn or upload.notes or ["nothing handed in"]
        return Unreadable(upload.student, "; ".join(reasons[:5]), tuple(dict.fromkeys([*upload.notes, *torn]))[:NOTES])
    notes = [*upload.notes, *torn]
    if others:
        notes.append(f"several notebooks of this chapter: took {_place(best.file)}, not {_places(others)}")
    notes += best.notes
    notes = [uploads.printable(note) for note in notes]
    submission = Submission(upload.student, chapter, best.answers, tuple(best.extras), tuple(notes[:NOTES]))
    submission.check()
    return Received(submission, "/".join(map(printable, best.file.place)), upload.time)


def _rank(reading: _Reading, chapter: str) -> tuple:
    """The notebook to take is the one with most of the chapter, then most written in, by its name, then the newest."""
    return reading.found, reading.changed, reading.file.place[-1] == f"{chapter}.ipynb", reading.file.modified


def read(file: File, chapter: str, released: NotebookNode) -> _Reading:
    """What of the chapter is in a notebook. Raises `ValueError` if it is none."""
    reading = _Reading(file)
    cells = list(_cells(file.data, reading.notes))
    own = {cell.id: cell for cell in released.cells}
    answer_ids = {marks(cell)["grade_id"]: cell for cell in released.cells if is_solution(cell)}
    checks = {marks(cell)["grade_id"]: cell for cell in released.cells if is_graded(cell) and not is_solution(cell)}
    matched = _match(cells, own, answer_ids, checks, reading.notes)
    chosen = _choose(cells, matched, answer_ids, own, reading)
    _guess(cells, matched, chosen, answer_ids, released, reading)
    after, changed, altered = "", 0, []
    left = CHARACTERS - sum(map(len, reading.answers.values()))
    for place, cell in enumerate(cells):
        to = matched[place]
        dropped = to is not None and is_solution(to) and place not in chosen.values()
        if to is not None and to.cell_type == "code" and not dropped:  # other versions run before the one that counts
            after = to.id
            if is_graded(to) and not is_solution(to) and not _same(cell.source, to.source):
                altered.append(to.id)
        if place in chosen.values() or cell.kind != "code" or not cell.source.strip():
            continue
        if to is not None and (_same(cell.source, to.source) or to.id in altered):
            continue
        changed += to is not None and not is_solution(to)
        if len(cell.source) > min(CHARACTERS_A_CELL, left) or len(reading.extras) + len(answer_ids) >= CELLS:
            reading.notes.append(f"cell {place + 1}: left out, as it is too large or one of too many")
            continue
        left -= len(cell.source)
        reading.extras.append(Extra(after, cell.source))
    if altered:
        names = ", ".join(dict.fromkeys(altered))
        reading.notes.append(f"the text of a check was changed; the chapter's own was used: {names}")
    if changed:
        reading.notes.append(f"{changed} of the chapter's own code cells were changed: both versions were run")
    missing = [name for name in answer_ids if name not in reading.answers]
    if missing:
        reading.notes.append(f"not found: {', '.join(missing)}")
    return reading


def _cells(data: bytes, notes: list[str]) -> Iterator[_Cell]:
    """The cells of a notebook of any version, as far as they are cells. Raises `ValueError` if it is no notebook."""
    text = data.decode(json.detect_encoding(data), "replace").removeprefix("\ufeff")
    if not text.strip():
        raise ValueError("an empty file")
    if text.count("{") + text.count("[") > PARTS_OF_A_FILE:
        raise ValueError(f"a file of more than {PARTS_OF_A_FILE} parts, which no notebook has")
    try:
        document = json.loads(text, parse_int=float)  # an endless number is no reason to read nothing
    except RecursionError:
        raise ValueError("nested too deeply to be a notebook") from None
    except ValueError as error:
        raise ValueError(f"not a notebook, or one that was cut off ({printable(str(error))})") from None
    sheets = document.get("worksheets") if isinstance(document, dict) else None
    if isinstance(sheets, list):  # version 3
        found = [cell for sheet in sheets if isinstance(sheet, dict) for cell in _list(sheet.get("cells"))]
    else:
        found = document.get("cells") if isinstance(document, dict) else None
    if not isinstance(found, list):
        raise ValueError("a file without cells, so no notebook")
    if len(found) > CELLS_LOOKED_AT:
        notes.append(f"{len(found)} cells: only the first {CELLS_LOOKED_AT} were looked at")
    replaced = False
    for cell in found[:CELLS_LOOKED_AT]:
        if not isinstance(cell, dict):
            continue
        source = cell.get("source", cell.get("input", ""))
        if isinstance(source, list):
            source = "".join(part for part in source if isinstance(part, str))
        if not isinstance(source, str):
            continue
        clean = source.encode("utf-8", "replace").decode()
        replaced |= clean != source
        metadata = _dict(cell.get("metadata"))
        kind, grade_id = cell.get("cell_type"), _dict(metadata.get("nbgrader")).get("grade_id")
        yield _Cell(
            kind if kind in ("code", "markdown", "raw") else "markdown",
            clean.replace("\r\n", "\n"),
            cell["id"] if isinstance(cell.get("id"), str) else "",
            grade_id if isinstance(grade_id, str) else "",
            bool(cell.get("attachments")),
        )
    if replaced:
        notes.append("some letters are no valid text and were replaced by a question mark")


def _match(
    cells: list[_Cell],
    own: dict[str, NotebookNode],
    answers: dict[str, NotebookNode],
    checks: dict[str, NotebookNode],
    notes: list[str],
) -> list[NotebookNode | None]:
    """For each cell of the student's the released cell that it is, if it is one: by grade id, id, or the same text."""
    by_text: dict[str, NotebookNode] = {}
    for cell in own.values():
        by_text.setdefault(_squeezed(cell.source), cell)
    matched, unknown = [], []
    for cell in cells:
        known = answers.get(cell.grade_id) or checks.get(cell.grade_id)
        if cell.grade_id and known is None:
            unknown.append(cell.grade_id)
        by_id = own.get(cell.id)
        same = by_text.get(_squeezed(cell.source)) if len(cell.source) < CHARACTERS_A_CELL else None
        matched.append(known or by_id or same)
    if unknown:
        names = ", ".join(printable(name)[:60] for name in unknown[:5])
        notes.append(f"marked cells that the chapter does not have were taken as the student's own: {names}")
    return matched


def _choose(
    cells: list[_Cell],
    matched: list[NotebookNode | None],
    answers: dict[str, NotebookNode],
    own: dict[str, NotebookNode],
    reading: _Reading,
) -> dict[str, int]:
    """For each answer that was found, the place of the cell that holds it."""
    candidates: dict[str, list[int]] = {}
    for place, to in enumerate(matched):
        if to is not None and is_solution(to):
            candidates.setdefault(marks(to)["grade_id"], []).append(place)
    chosen = {}
    for name, places in candidates.items():
        written = [place for place in places if not _same(cells[place].source, answers[name].source)]
        if len(places) > 1:
            reading.notes.append(f"{name} is there {len(places)} times: took the last one that was written in")
        _take(name, (written or places)[-1], cells, answers, chosen, reading)
        reading.found += 1
    return chosen


def _guess(
    cells: list[_Cell],
    matched: list[NotebookNode | None],
    chosen: dict[str, int],
    answers: dict[str, NotebookNode],
    released: NotebookNode,
    reading: _Reading,
) -> None:
    """Find answers whose marks are lost: code by the names that it defines, prose by the question before it."""
    question = {}
    for before, cell in zip(released.cells, released.cells[1:], strict=False):
        if is_solution(cell):
            question[marks(cell)["grade_id"]] = before.id
    for name, cell in answers.items():
        if name in chosen:
            continue
        free = [place for place, to in enumerate(matched) if to is None and place not in chosen.values()]
        if cell.cell_type == "code":
            wanted = _defined(cell.source)
            fits = [place for place in free if cells[place].kind == "code" and wanted & _defined(cells[place].source)]
        else:
            fits = [
                place
                for place in free
                if cells[place].kind != "code"
                and place
                and matched[place - 1] is not None
                and matched[place - 1].id == question.get(name)
            ]
        if fits:
            matched[fits[-1]] = cell
            how = "what it defines" if cell.cell_type == "code" else "the question before it"
            reading.notes.append(f"{name} had lost its mark: found it in cell {fits[-1] + 1} by {how}")
            _take(name, fits[-1], cells, answers, chosen, reading)
            reading.found += 1


def _take(
    name: str,
    place: int,
    cells: list[_Cell],
    answers: dict[str, NotebookNode],
    chosen: dict[str, int],
    reading: _Reading,
) -> None:
    cell = cells[place]
    chosen[name] = place
    if len(cell.source) > CHARACTERS_A_CELL or sum(map(len, reading.answers.values())) + len(cell.source) > CHARACTERS:
        reading.notes.append(f"{name}: left out, as it has {len(cell.source)} characters")
        return
    if cell.attachments:
        reading.notes.append(f"{name}: a picture was pasted into the answer, and is in the upload only")
    if cell.kind != answers[name].cell_type:
        reading.notes.append(f"{name}: its cell was turned into one of the kind {cell.kind}")
    reading.answers[name] = cell.source
    reading.changed += not _same(cell.source, answers[name].source)


def _defined(source: str) -> set[str]:
    """The names that the lines of a cell define at the top level."""
    found = re.findall(r"^(?:async def|def|class)[ \t]+(\w+)|^(\w+)[ \t]*(?::[^=\n]*)?=(?!=)", source, re.MULTILINE)
    return {name for pair in found for name in pair if name}


def _same(one: str, other: str) -> bool:
    return _squeezed(one) == _squeezed(other)


def _squeezed(source: str) -> str:
    return "\n".join(line.rstrip() for line in source.strip().splitlines())


def _list(value: Any) -> list:
    return value if isinstance(value, list) else []


def _dict(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _place(file: File) -> str:
    return printable("/".join(file.place[1:]) or file.place[0])


def _places(readings: list[_Reading]) -> str:
    return ", ".join(_place(reading.file) for reading in readings[:5])


def released(root: Path, chapter: str) -> NotebookNode:
    """The chapter as students got it. Raises `FileNotFoundError`."""
    return nbformat.read(root / "chapters" / chapter / f"{chapter}.ipynb", as_version=4)
