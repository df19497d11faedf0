"""What students of the toy chapter hand in: notebooks as JupyterLab saves them, and files as learning platforms do."""

import copy
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from classroom.grade.result import Result, Score
from classroom.grade.submission import Submission

CHAPTER = "01_averages"
ANSWERS = {
    "mean": "def mean(numbers):\n    return sum(numbers) / len(numbers)",
    "median": "def median(numbers):\n    return sorted(numbers)[len(numbers) // 2]",
    "robust": 'answer_robust = "a"',
    "written-choice": "The median: one person does not move it.",
}


def notebook(
    course: Path, answers: dict[str, str] = ANSWERS, change: Callable[[list], Any] = lambda cells: None
) -> dict:
    """The released chapter with these answers in it; `change` may do what it likes to the list of cells."""
    document = json.loads((course / "chapters" / CHAPTER / f"{CHAPTER}.ipynb").read_text(encoding="utf-8"))
    for cell in document["cells"]:
        if cell["id"] in answers:
            cell["source"] = answers[cell["id"]]
    change(document["cells"])
    return document


def as_bytes(document: Any) -> bytes:
    return json.dumps(document).encode()


def hand_in(course: Path, student: str, document: Any, folder: str = "submitted") -> Path:
    """Put a notebook (or the bytes of some file) where nbgrader would look for it."""
    path = course / folder / student / CHAPTER / f"{CHAPTER}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(document if isinstance(document, bytes) else as_bytes(document))
    return path


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def cell(source: str, kind: str = "code", **more: Any) -> dict:
    """A cell of the student's own."""
    extra = {"outputs": [], "execution_count": None} if kind == "code" else {}
    return {"cell_type": kind, "metadata": {}, "source": source} | extra | copy.deepcopy(more)


def find(cells: list[dict], name: str) -> dict:
    return next(cell for cell in cells if cell.get("id") == name)


POINTS = {"check-mean": 7, "check-median": 4, "check-robust": 3}
WRITTEN = 6


def judged(submission: Submission) -> Result:
    """A result as the grader would give it, by looking for the right answer's text."""
    scores = {}
    for check, points in POINTS.items():
        name = check.removeprefix("check-")
        right = ANSWERS[name] in submission.answers.get(name, "")
        scores[check] = Score(points if right else 0, points, f"{name} holds" if right else f"{name} is not right yet")
    outputs = {"mean": "printed by mean\n"} if "print" in submission.answers.get("mean", "") else {}
    return Result(submission.student, submission.chapter, submission.digest, "graded", scores, outputs, seconds=0.5)


def engine(submissions: list[Submission]) -> Iterator[Result]:
    """The grader that judges by text."""
    yield from map(judged, submissions)


def fill_class(course: Path) -> dict[str, float]:
    """Hand in what a small class would; the marks that a grader gives without a person, by student."""
    hand_in(course, "ada", notebook(course))
    hand_in(course, "ben", notebook(course, {}))
    hand_in(course, "cem", notebook(course, {"mean": ANSWERS["mean"]}))
    hand_in(course, "dee", notebook(course, ANSWERS | {"robust": 'answer_robust = "b"'}))
    return {"ada": 14, "ben": 0, "cem": 7, "dee": 11}
