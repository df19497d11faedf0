"""From the source to the exported mark: what each submission gets, and what it does not stop."""

import csv
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from click import ClickException
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from tests.grading.handed_in import ANSWERS, CHAPTER
from traitlets.config import PyFileConfigLoader

from classroom.build import build_all, student
from classroom.grade.class_run import Row, grade
from classroom.source import load

pytestmark = [pytest.mark.timeout(1200), pytest.mark.usefixtures("sandboxes")]

AUTOMATIC, WRITTEN = 14, 6


def half(cells):
    """The mean is worth seven of the fourteen points that are given without a person."""
    fill(cells, "mean")


def fill(cells: dict[str, NotebookNode], *names: str) -> None:
    for name in names:
        cells[name].source = ANSWERS[name]


def everything(cells):
    fill(cells, *ANSWERS)


def nothing(cells):
    pass


def loud(cells):
    everything(cells)
    cells["mean"].source = (
        "import sys, warnings\ndef mean(numbers):\n    warnings.warn('careful')\n    print('hm', file=sys.stderr)\n"
        "    return sum(numbers) / len(numbers)"
    )


def without_checks(cells):
    everything(cells)
    cells["check-mean"].metadata = NotebookNode()
    cells["check-mean"].source = "print('gone')"


def only_visible(cells):
    """Passes what the student can see, and fails the hidden test."""
    everything(cells)
    cells["mean"].source = "def mean(numbers):\n    return 4.0"


def altered(cells):
    everything(cells)
    cells["mean"].source = "def mean(numbers):\n    return 0"
    cells["check-mean"].source = "pass"
    cells["check-mean"].metadata.nbgrader.points = 1000


SUBMISSIONS: dict[str, Callable] = {
    "ada": everything,
    "ben": nothing,
    "cem": half,
    "dee": loud,
    "eva": without_checks,
    "fay": only_visible,
    "gus": altered,
}
MARKS = {"ada": 14, "ben": 0, "cem": 7, "dee": 14, "eva": 14, "fay": 7, "gus": 7}


def hand_in(course: Path, name: str, change: Callable) -> Path:
    notebook = nbformat.read(course / "chapters" / CHAPTER / f"{CHAPTER}.ipynb", as_version=4)
    change({cell.id: cell for cell in notebook.cells})
    path = course / "submitted" / name / CHAPTER / f"{CHAPTER}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def gradebook(course: Path) -> Gradebook:
    return Gradebook(f"sqlite:///{course}/gradebook.db")


@pytest.fixture(scope="module")
def graded(course) -> dict[str, Row]:
    """The toy course after the submissions above, and some that can't be marked, were graded."""
    build_all(course)
    for name, change in SUBMISSIONS.items():
        hand_in(course, name, change)
    hand_in(course, "torn", nothing).write_text('{"cells": [')
    (course / "submitted" / "late").mkdir()
    (course / "submitted" / "renamed" / CHAPTER).mkdir(parents=True)
    (course / "submitted" / "renamed" / CHAPTER / "final.ipynb").touch()
    return {row.student: row for row in grade(course, CHAPTER)}


@pytest.mark.parametrize("name", SUBMISSIONS)
def test_each_submission_gets_the_marks_it_deserves(name, graded):
    assert (graded[name].score, graded[name].max_score) == (MARKS[name], AUTOMATIC + WRITTEN)


def test_the_written_answer_waits_for_a_person(graded):
    assert graded["ada"].waiting == ("written-choice",)
    assert "waits for a person: written-choice" in str(graded["ada"])
    assert graded["ben"].waiting == (), "an answer that was left empty needs nobody to read it"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("torn", "not a notebook, or one that was cut off"),
        ("late", "nothing handed in"),
        ("renamed", "final.ipynb: an empty file"),
    ],
)
def test_what_cannot_be_marked_is_named_and_gets_no_zero(name, words, graded, course):
    assert graded[name].score is None
    assert words in graded[name].reason
    assert name not in {line["student_id"] for line in exported(course)}


def exported(course: Path) -> list[dict[str, str]]:
    with open(course / "grades" / f"{CHAPTER}.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_the_export_has_a_line_for_each_mark(graded, course):
    lines = {line["student_id"]: line for line in exported(course)}
    assert {name: float(line["score"]) for name, line in lines.items()} == MARKS
    assert {float(line["max_score"]) for line in lines.values()} == {AUTOMATIC + WRITTEN}


def test_feedback_shows_the_message_and_nothing_of_a_hidden_test(graded, course):
    page = (course / "feedback" / "fay" / CHAPTER / f"{CHAPTER}.html").read_text()
    assert "The result is wrong." in page, "what a hidden test expected would give its input away"
    for secret in ("1024", "343", "HIDDEN TESTS", "total_of_all", "Three points for the median"):
        assert secret not in page
    unwritten = (course / "feedback" / "ben" / CHAPTER / f"{CHAPTER}.html").read_text()
    assert "mean is not written yet" in unwritten
    assert "Traceback" not in unwritten


def test_the_published_chapter_is_untouched(graded, course):
    build_again = nbformat.read(course / "chapters" / CHAPTER / f"{CHAPTER}.ipynb", as_version=4)
    assert build_again == student(load(course / "solutions" / f"{CHAPTER}.py"))


def test_the_students_notebook_is_the_one_that_nbgrader_makes(course, graded, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")  # alembic, by name
    root, release = tmp_path / "other", tmp_path / "release"
    shutil.copytree(course / "solutions", root / "solutions")
    shutil.copy(course / "nbgrader_config.py", root)
    config = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
    config.CourseDirectory.root = str(root)
    config.CourseDirectory.release_directory = str(release)
    result = NbGraderAPI(config=config).generate_assignment(CHAPTER)
    assert result["success"], result
    made = nbformat.read(release / CHAPTER / f"{CHAPTER}.ipynb", as_version=4)
    ours = nbformat.read(course / "chapters" / CHAPTER / f"{CHAPTER}.ipynb", as_version=4)
    assert made.cells == ours.cells
    del ours.metadata.chapter["version"]  # ours alone: by it a student's copy is known to be an older one
    assert made.metadata == ours.metadata


def test_a_person_marks_a_changed_answer_is_marked_again_and_a_torn_one_loses_its_mark(graded, course):
    """One round of marking later."""
    with gradebook(course) as book:
        book.find_grade("written-choice", CHAPTER, CHAPTER, "ada").manual_score = WRITTEN
        book.find_grade("written-choice", CHAPTER, CHAPTER, "ada").needs_manual_grade = False
        book.db.commit()
    hand_in(course, "ben", half)
    os.utime(course / "submitted" / "ben" / CHAPTER / f"{CHAPTER}.ipynb", (0, 0))
    hand_in(course, "cem", nothing).write_text("torn")
    untouched = course / "autograded" / "dee" / CHAPTER / f"{CHAPTER}.ipynb"
    before = untouched.stat().st_mtime_ns

    rows = {row.student: row for row in grade(course, CHAPTER)}

    assert (rows["ada"].score, rows["ada"].waiting) == (AUTOMATIC + WRITTEN, ())
    assert rows["ben"].score == MARKS["cem"], "graded again, although its date is older"
    assert rows["cem"].score is None
    assert untouched.stat().st_mtime_ns == before, "what did not change is not run again"
    assert "cem" not in {line["student_id"] for line in exported(course)}
    assert not (course / "feedback" / "cem" / CHAPTER).exists()
    with gradebook(course) as book:
        assert book.find_submission(CHAPTER, "cem").score == 0
    backup = max((course / "grades" / "backup").iterdir())
    with Gradebook(f"sqlite:///{backup}") as book:
        assert book.find_submission(CHAPTER, "cem").score == MARKS["cem"], "the gradebook was kept as it was before"


def test_what_is_missing_is_said(course, graded, tmp_path):
    with pytest.raises(ClickException, match="there is no solutions/07_none/07_none.ipynb"):
        grade(course, "07_none")
    with pytest.raises(ClickException, match="no submissions: they belong in"):
        grade(course, CHAPTER, tmp_path)


def test_without_a_sandbox_nothing_runs_and_nothing_is_written(course, graded, monkeypatch):
    from classroom.grade import pool

    monkeypatch.setattr(pool, "usable_modes", lambda: ([], ["bubblewrap is missing"]))
    before = sorted(course.rglob("*"))
    with pytest.raises(ClickException, match="bubblewrap is missing\\nNothing was run.*--unsafe"):
        grade(course, CHAPTER, again=True)
    assert sorted(course.rglob("*")) == before
