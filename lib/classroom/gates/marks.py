"""Gates on what nbgrader reads, and on what the prose says about it: markers, grade ids, points, exercises."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from nbformat import NotebookNode

from classroom.gates.text import prose
from classroom.source import KERNEL, Chapter, Problem, is_graded, is_solution, marks

MARKERS = [f"### {edge} {kind}" for kind in ("SOLUTION", "HIDDEN TESTS") for edge in ("BEGIN", "END")]
LIKE_A_MARKER = re.compile(r"^\W*(begin|end)[\s_-]*(solutions?|hidden[\s_-]*tests?)\W*$", re.IGNORECASE)
TASK = re.compile(r"^\*(\d+) points? · (●○○|●●○|●●●) · (\d+) minutes?\*$", re.MULTILINE)
LIKE_A_TASK = re.compile(r"^\*?\d+ points?\b.*$", re.MULTILINE)
TASK_FORM = "`*15 points · ●○○ · 10 minutes*`, with one to three ● of three"


@dataclass
class Task:
    """An exercise, a question or a written answer: its heading's cell, and the cells up to the next one."""

    title: str
    cell: NotebookNode
    points: int
    minutes: int
    difficulty: str
    cells: list[NotebookNode] = field(default_factory=list)


def tasks_of(notebook: NotebookNode) -> Iterator[Task]:
    """The tasks of a chapter's notebook, the student's or the source's, in order."""
    task = None
    for cell in notebook.cells:
        line = TASK.search(cell.source) if cell.cell_type == "markdown" else None
        if line:
            if task:
                yield task
            titles = re.findall(r"^### (.+)$", cell.source[: line.start()], re.MULTILINE)
            task = Task(titles[-1] if titles else "", cell, int(line[1]), int(line[3]), line[2])
        elif task:
            task.cells.append(cell)
    if task:
        yield task


def kernel(chapter: Chapter) -> list[Problem]:
    if dict(chapter.notebook.metadata.kernelspec) == KERNEL:
        return []
    header = "{display_name: Python 3, language: python, name: python3}"
    return [chapter.problem(None, f"`kernelspec` must be {header}; found {dict(chapter.notebook.metadata.kernelspec)}")]


def markers(chapter: Chapter) -> list[Problem]:
    """Markers are spelled as nbgrader reads them, balanced, and in cells where it looks for them."""
    found = []
    for cell in chapter.notebook.cells:
        inside, begun = None, set()
        for line in cell.source.split("\n"):
            if line.strip() not in MARKERS:
                if LIKE_A_MARKER.match(line):
                    found.append(chapter.problem(cell, f"`{line.strip()}`: a marker is one of {', '.join(MARKERS)}"))
                continue
            _, edge, kind = line.strip().split(" ", 2)
            if (edge == "BEGIN") == (inside is not None) or (edge == "END" and kind != inside):
                found.append(chapter.problem(cell, f"`{line.strip()}` stands alone: BEGIN and END come in pairs"))
            inside = kind if edge == "BEGIN" else None
            begun.add(kind)
        if inside:
            found.append(chapter.problem(cell, f"`### BEGIN {inside}` has no `### END {inside}`"))
        if is_solution(cell) and "SOLUTION" not in begun:
            found.append(chapter.problem(cell, "a solution cell without markers would be wiped whole: add them"))
        if not is_solution(cell) and "SOLUTION" in begun:
            found.append(chapter.problem(cell, 'a solution stands in a cell that is not marked `"solution": true`'))
        if "HIDDEN TESTS" in begun and (is_solution(cell) or not is_graded(cell)):
            found.append(chapter.problem(cell, 'hidden tests stand in cells marked `"grade": true` only'))
    return found


def identifiers(chapter: Chapter) -> list[Problem]:
    found, seen = [], Counter()
    for cell in chapter.notebook.cells:
        grade_id = marks(cell).get("grade_id")
        if not marks(cell):
            continue
        if not isinstance(grade_id, str) or not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", grade_id):
            found.append(chapter.problem(cell, f"a grade_id is small letters, digits and hyphens; found {grade_id!r}"))
        seen[grade_id] += 1
        if seen[grade_id] == 2:
            found.append(chapter.problem(cell, f"the grade_id {grade_id!r} is used twice"))
        if cell.cell_type == "markdown" and is_graded(cell) != is_solution(cell):
            found.append(chapter.problem(cell, 'a written answer is both `"grade": true` and `"solution": true`'))
        if cell.cell_type == "code" and is_graded(cell) and is_solution(cell):
            found.append(
                chapter.problem(cell, "a solution in code is marked by a check cell of its own, not by itself")
            )
    return found


def points(chapter: Chapter) -> list[Problem]:
    """Each graded cell has points, and they add up to what the header promises."""
    found, total = [], 0
    for cell in chapter.notebook.cells:
        value = marks(cell).get("points")
        if is_graded(cell) and not (isinstance(value, int) and not isinstance(value, bool) and value > 0):
            found.append(chapter.problem(cell, f"a graded cell has points, a whole number above 0; found {value!r}"))
        elif is_graded(cell):
            total += value
        elif value is not None:
            found.append(chapter.problem(cell, 'only a cell marked `"grade": true` has points'))
    if not found and total != chapter.meta["points"]:
        message = f"`points: {chapter.meta['points']}`, but the graded cells add up to {total}"
        found.append(chapter.problem(None, message))
    return found


def tasks(chapter: Chapter) -> list[Problem]:
    """Each graded cell stands under a heading that says its points, its difficulty and its minutes."""
    found = []
    for cell in (cell for cell in chapter.notebook.cells if cell.cell_type == "markdown" and not is_graded(cell)):
        lines, good = LIKE_A_TASK.findall(prose(cell.source)), TASK.findall(cell.source)
        if len(lines) != len(good):
            found.append(chapter.problem(cell, f"`{lines[-1]}` should look like {TASK_FORM}"))
        elif len(good) > 1:
            found.append(chapter.problem(cell, "two exercises in one cell: each begins a cell of its own"))
        elif not good and re.search(r"^### (Exercise|Question) ", cell.source, re.MULTILINE):
            found.append(chapter.problem(cell, f"the heading needs a line like {TASK_FORM}"))
    covered = set()
    for task in tasks_of(chapter.notebook):
        if not task.title:
            found.append(chapter.problem(task.cell, "the line with the points stands under a heading `### `"))
        graded = [cell for cell in task.cells if is_graded(cell)]
        covered.update(cell.id for cell in task.cells)
        total = sum(marks(cell).get("points") or 0 for cell in graded)
        if total != task.points:
            message = f"the prose says {task.points} points, the graded cells below it say {total}"
            found.append(chapter.problem(task.cell, message))
    for cell in chapter.notebook.cells:
        if (is_graded(cell) or is_solution(cell)) and cell.id not in covered:
            found.append(chapter.problem(cell, f"stands under no heading with a line like {TASK_FORM}"))
    return found


def checks(chapter: Chapter) -> list[Problem]:
    """Each solution `x` in code is marked by the cell `check-x` that follows it in the same exercise."""
    found = []
    for task in tasks_of(chapter.notebook):
        for position, cell in enumerate(task.cells):
            if not is_solution(cell) or is_graded(cell):
                continue
            wanted = f"check-{marks(cell).get('grade_id')}"
            later = [marks(other).get("grade_id") for other in task.cells[position:] if is_graded(other)]
            if wanted not in later:
                found.append(chapter.problem(cell, f"no graded cell {wanted!r} follows it within its exercise"))
    return found


def objectives(chapter: Chapter) -> list[Problem]:
    graded = {marks(cell).get("grade_id") for cell in chapter.notebook.cells if is_graded(cell)}
    found = []
    for objective in chapter.meta["objectives"]:
        tested_by = objective["tested_by"] or []
        unknown = [grade_id for grade_id in tested_by if grade_id not in graded]
        if not tested_by:
            found.append(chapter.problem(None, f"no graded cell tests the objective {objective['text']!r}"))
        if unknown:
            message = f"the objective {objective['text']!r} is tested by {', '.join(unknown)}, which is no graded cell"
            found.append(chapter.problem(None, message))
    return found
