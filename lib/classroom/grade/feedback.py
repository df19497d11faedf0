"""The page that a student gets back: the own answers, what the checks said of them, the marks and a person's comments.

Nothing else is on it: no hidden test, input, seed, path or variable of the grader's, and nobody else's name.
"""

import re
from pathlib import Path

from nbformat import NotebookNode

from classroom.gates.marks import Task, tasks_of
from classroom.grade.gradebook import CellMark, Mark
from classroom.grade.page import page, pre, table, text
from classroom.grade.result import Result
from classroom.grade.submission import Submission
from classroom.source import is_graded, is_solution, marks

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def feedback(chapter: NotebookNode, submission: Submission, result: Result, mark: Mark, secret: tuple[str, ...]) -> str:
    """The page's HTML; `chapter` is the released one. Texts in `secret`, such as folders of ours, are left out."""
    title = chapter.metadata.get("chapter", {}).get("title", submission.chapter)
    tasks = [task for task in tasks_of(chapter) if any(is_graded(cell) for cell in task.cells)]
    rows, parts = [], []
    for number, task in enumerate(tasks, start=1):
        names = [marks(cell)["grade_id"] for cell in task.cells if is_graded(cell)]
        cells = [mark.cells[name] for name in names if name in mark.cells]
        rows.append([f'<a href="#task-{number}">{text(task.title)}</a>', *_points(cells)])
        parts.append(_task(number, task, submission, result, mark))
    waiting = " Some answers still wait to be read; their points are not in it." if mark.waiting else ""
    late = f" {mark.penalty:g} points are taken off for handing in late." if mark.penalty else ""
    total = max(0.0, mark.score - mark.penalty)
    notes = "".join(f"<li>{text(note)}</li>" for note in submission.notes)
    body = [
        f"<h1>{text(title)}</h1>",
        f"<p>{text(submission.student)}: <strong>{total:g} of {mark.max:g} points</strong>.{waiting}{late}</p>",
        f"<p>About the file that was handed in:</p><ul>{notes}</ul>" if notes else "",
        table(["exercise", "points", "of"], rows, numbers=(1, 2)),
        *parts,
    ]
    return page(f"{title}: {submission.student}", without("\n".join(part for part in body if part), secret))


def without(page: str, secret: tuple[str, ...]) -> str:
    """The page with each text of `secret` replaced by three dots, the longest first."""
    for words in sorted(filter(None, secret), key=len, reverse=True):
        page = page.replace(text(words), "…")
    return page


def folders(root: Path) -> tuple[str, ...]:
    """Where the course and the grader's home are, which students need not know."""
    places = {str(root), str(root.resolve()), str(Path.home())}
    return tuple(place for place in places if len(place) > 3)


def _points(cells: list[CellMark]) -> list[str]:
    points, most = sum(cell.points for cell in cells), sum(cell.max for cell in cells)
    waits = any(cell.waits for cell in cells)
    kind = "waits" if waits else "full" if points >= most else "none" if points == 0 else "part"
    return [f'<span class="{kind}">{"to be read" if waits and not points else f"{points:g}"}</span>', f"{most:g}"]


def _task(number: int, task: Task, submission: Submission, result: Result, mark: Mark) -> str:
    parts = [f'<h2 id="task-{number}">{text(task.title)}</h2>']
    for cell in task.cells:
        name = marks(cell).get("grade_id")
        if is_solution(cell):
            answer = submission.answers.get(name)
            same = answer is None or answer.strip() == cell.source.strip()
            parts.append('<p class="none">Not answered.</p>' if same else pre(answer))
            printed = ESCAPES.sub("", result.outputs.get(cell.id, ""))
            if printed.strip() and not same:
                parts.append(f"<details><summary>What it printed</summary>{pre(printed)}</details>")
        if is_graded(cell) and name in mark.cells:
            points, most = _points([mark.cells[name]])
            parts.append(f"<p><strong>{points} of {most} points</strong></p>")
            if name in result.scores and not is_solution(cell):
                parts.append(pre(ESCAPES.sub("", result.scores[name].message)))
        if name in mark.comments:
            parts.append(f"<p>A comment on your answer:</p>{pre(mark.comments[name])}")
    return "\n".join(parts)
