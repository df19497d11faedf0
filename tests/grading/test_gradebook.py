"""Marks in nbgrader's gradebook: right, a person's kept, stale ones cleared, and nbgrader's own programs read them."""

import csv
import json
import os
import re
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from click import ClickException
from nbgrader.api import Gradebook
from tests.grading.handed_in import (
    ANSWERS,
    CHAPTER,
    POINTS,
    WRITTEN,
    as_bytes,
    cell,
    engine,
    fill_class,
    find,
    hand_in,
    judged,
    notebook,
)  # fmt: skip

from classroom.grade import class_run, gradebook
from classroom.grade.class_run import run
from classroom.grade.marked import harmless
from classroom.grade.result import Result, Score


@pytest.fixture(autouse=True)
def programs(monkeypatch):
    """nbgrader starts `alembic` by name."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def grade(course: Path, by=engine, **options) -> dict[str, class_run.Row]:
    return {row.student: row for row in run(course, CHAPTER, engine=by, **options)}


def opened(course: Path) -> Gradebook:
    return Gradebook(f"sqlite:///{course}/gradebook.db")


def give(course: Path, student: str, points: float, name: str = "written-choice", comment: str = "well put") -> None:
    """As a person does in formgrader."""
    with opened(course) as book:
        grade = book.find_grade(name, CHAPTER, CHAPTER, student)
        grade.manual_score, grade.needs_manual_grade = points, False
        if name == "written-choice":
            book.find_comment(name, CHAPTER, CHAPTER, student).manual_comment = comment
        book.db.commit()


def contents(course: Path) -> dict:
    """All that the gradebook holds of the students, without the ids."""
    with opened(course) as book:
        return {
            (grade.student.id, grade.name): (
                grade.auto_score, grade.manual_score, grade.extra_credit, grade.needs_manual_grade, grade.max_score,
            )
            for submission in book.assignment_submissions(CHAPTER)
            for notebook in submission.notebooks
            for grade in notebook.grades
        } | {
            (comment.student.id, comment.name, "comment"): (comment.auto_comment, comment.manual_comment)
            for submission in book.assignment_submissions(CHAPTER)
            for notebook in submission.notebooks
            for comment in notebook.comments
        }  # fmt: skip


@pytest.fixture
def graded(toy_course) -> tuple[Path, dict[str, float]]:
    marks = fill_class(toy_course)
    grade(toy_course)
    return toy_course, marks


def test_nbgraders_own_interface_reads_the_marks(graded):
    course, marks = graded
    with opened(course) as book:
        assert {one.student.id: one.score for one in book.assignment_submissions(CHAPTER)} == marks
        assert book.find_assignment(CHAPTER).max_score == sum(POINTS.values()) + WRITTEN
        submission = book.find_submission(CHAPTER, "dee")
        assert submission.needs_manual_grade and submission.notebooks[0].failed_tests
        assert not book.find_submission(CHAPTER, "ben").needs_manual_grade, "nothing was written, so nothing to read"
        assert book.find_comment("written-choice", CHAPTER, CHAPTER, "ben").comment == "No response."
        found = {(row.name, row.locked) for row in book.find_notebook(CHAPTER, CHAPTER).source_cells}
        assert ("check-mean", True) in found and ("mean", False) in found
        source = book.find_source_cell("check-mean", CHAPTER, CHAPTER).source
        assert "1024.0" in source, "hidden tests are in the gradebook, as nbgrader keeps them"


def test_it_is_the_gradebook_that_nbgrader_makes(graded, tmp_path):
    """The same cells, with the same values, as `nbgrader generate_assignment` writes into a gradebook of its own."""
    course, _ = graded
    from nbgrader.apps import NbGraderAPI
    from traitlets.config import PyFileConfigLoader

    config = PyFileConfigLoader("nbgrader_config.py", path=str(course)).load_config()
    config.CourseDirectory.root = str(course)
    config.CourseDirectory.release_directory = str(tmp_path / "release")
    config.CourseDirectory.db_url = f"sqlite:///{tmp_path}/theirs.db"
    assert NbGraderAPI(config=config).generate_assignment(CHAPTER)["success"]

    def cells(url: str) -> dict:
        with Gradebook(url) as book:
            found = book.find_notebook(CHAPTER, CHAPTER)
            every = (*found.grade_cells, *found.solution_cells, *found.source_cells)
            drop = {"id"}
            return {
                (type(one).__name__, one.name): {key: value for key, value in one.to_dict().items() if key not in drop}
                for one in every
            }

    def schema(path: Path) -> list:
        with sqlite3.connect(path) as connection:
            return sorted(connection.execute("SELECT name, sql FROM sqlite_master").fetchall(), key=str)

    assert cells(f"sqlite:///{course}/gradebook.db") == cells(f"sqlite:///{tmp_path}/theirs.db")
    names = [[name for name, _ in schema(path)] for path in (course / "gradebook.db", tmp_path / "theirs.db")]
    assert names[0] == names[1]


def test_formgrader_lists_and_shows_every_submission(graded):
    course, marks = graded
    from nbgrader.apps import NbGraderAPI
    from nbgrader.server_extensions.formgrader import handlers
    from traitlets.config import PyFileConfigLoader

    config = PyFileConfigLoader("nbgrader_config.py", path=str(course)).load_config()
    config.CourseDirectory.root = str(course)
    api = NbGraderAPI(config=config)
    found = {one["student"]: one for one in api.get_submissions(CHAPTER)}
    assert {student: one["score"] for student, one in found.items()} == marks
    assert all(one["autograded"] for one in found.values())
    assert len(api.get_notebook_submissions(CHAPTER, CHAPTER)) == len(marks)
    assert handlers.template_path, "formgrader's pages are installed"


def formgraders_page(course: Path, student: str) -> str:
    """The page on which a person reads a submission."""
    from nbconvert.exporters import HTMLExporter
    from nbgrader.server_extensions.formgrader import handlers

    path = course / "autograded" / student / CHAPTER / f"{CHAPTER}.ipynb"
    exporter = HTMLExporter(template_name="formgrade", extra_template_basedirs=[handlers.template_path])
    resources = {"assignment_id": CHAPTER, "notebook_id": CHAPTER, "submission_id": "1", "index": 0, "total": 1}
    resources |= {"base_url": "", "student": student, "last_name": None, "first_name": None, "notebook_path": "x"}
    return exporter.from_filename(str(path), resources=resources)[0]


HOSTILE = (
    "<script>alert('prose')</script> <img src=x onerror=alert(1)> [a](javascript:alert(2)) <svg/onload=alert(3)> "
    "[b](&#106;avascript:alert(4)) [c](data:text/html,<script>alert(5)</script>) [d](vbscript:x) "
    "$\\href{javascript:alert(6)}{x}$ [g](javascript\\:alert(7)) [h][e] ![i](https://example.org/i.png)\n\n"
    "[e]: JaVaScript:alert(7)\n\n<a href='java&#115;cript:alert(8)'>f</a>\n"
)


def test_a_students_prose_and_output_run_nothing_in_the_instructors_browser(toy_course):
    answers = ANSWERS | {
        "written-choice": HOSTILE,
        "mean": ANSWERS["mean"] + "\nprint('</pre><script>alert(9)</script>')",
    }

    def by(submissions):
        for submission in submissions:
            yield replace(judged(submission), outputs={"mean": "</pre><script>alert(10)</script>\x1b]8;;evil\x07"})

    hand_in(toy_course, "eve", notebook(toy_course, answers, lambda cells: cells.append(cell("'<script>alert(11)'"))))
    grade(toy_course, by)
    page = formgraders_page(toy_course, "eve")
    assert "alert" in page
    lowered = page.lower()
    for call in range(12):
        assert f"<script>alert({call})" not in lowered
    assert "<script>alert('prose')" not in lowered
    hand_in(toy_course, "ada", notebook(toy_course))
    grade(toy_course)
    honest = formgraders_page(toy_course, "ada").lower()
    for pattern in (
        r"<(?:img|svg|iframe|object|embed)\b[^>]*>",
        r"href=[\"']?\s*(?:javascript|vbscript|data)\s*:[^>]*>",
    ):
        assert re.findall(pattern, lowered) == re.findall(pattern, honest), "no more than formgrader's own"
    assert "href{javascript:" not in lowered
    feedback = (toy_course / "feedback" / "eve" / CHAPTER / f"{CHAPTER}.html").read_text()
    assert "<script" not in feedback and "<img" not in feedback


def test_harmless_prose_stays_as_it_is():
    prose = "If a < b and b<3, then *c* > d; see <https://example.org>. JavaScript is a language: so is Java."
    assert harmless(prose) == prose.replace("<https", "&lt;https")
    assert harmless("$a &= b$ and `x[0] != y`, R&D") == "$a &= b$ and `x[0] != y`, R&\u200bD"


def test_what_a_person_gave_stays_and_is_looked_at_again_only_if_the_answer_changed(graded):
    course, marks = graded
    give(course, "ada", WRITTEN)
    give(course, "dee", 2, comment="half of it")
    give(course, "cem", 1, "check-median", "")
    grade(course, again=True)
    rows = grade(course)
    assert (rows["ada"].score, rows["ada"].waiting) == (marks["ada"] + WRITTEN, ())
    assert (rows["cem"].score, rows["cem"].waiting) == (marks["cem"] + 1, ())
    hand_in(course, "dee", notebook(course, ANSWERS | {"written-choice": "Another thought."}))
    hand_in(course, "ada", notebook(course, ANSWERS | {"robust": 'answer_robust = "c"'}))
    rows = grade(course)
    assert (rows["dee"].score, rows["dee"].waiting) == (14 + 2, ("written-choice",))
    assert (rows["ada"].score, rows["ada"].waiting) == (marks["ada"] - 3 + WRITTEN, ())
    with opened(course) as book:
        assert book.find_comment("written-choice", CHAPTER, CHAPTER, "dee").comment == "half of it"


def test_a_persons_correction_of_a_check_waits_again_when_the_check_says_something_new(graded):
    course, _ = graded
    give(course, "cem", 3, "check-median", "")
    hand_in(course, "cem", notebook(course, {name: ANSWERS[name] for name in ("mean", "median")}))
    row = grade(course)["cem"]
    assert (row.score, row.waiting) == (7 + 3, ("check-median",)), (
        "the person's score counts until the person changes it"
    )


def test_what_can_no_longer_be_read_loses_its_mark_but_nothing_that_a_person_gave(graded):
    course, marks = graded
    give(course, "dee", 5)
    hand_in(course, "dee", b'{"cells": [')
    hand_in(course, "cem", b"")
    rows = grade(course)
    assert rows["dee"].score is None and "cut off" in rows["dee"].reason
    assert rows["ada"].score == marks["ada"]
    with opened(course) as book:
        assert book.find_submission(CHAPTER, "cem").score == 0
        assert book.find_grade("written-choice", CHAPTER, CHAPTER, "dee").manual_score == 5
        assert book.find_comment("written-choice", CHAPTER, CHAPTER, "dee").comment == "well put"
    for folder in ("feedback", "autograded"):
        assert not (course / folder / "cem" / CHAPTER).exists()
    assert set(exported(course)) == {"ada", "ben"}


def exported(course: Path) -> dict[str, dict[str, str]]:
    with open(course / "grades" / f"{CHAPTER}.csv", newline="") as file:
        return {line["student_id"]: line for line in csv.DictReader(file)}


def test_the_export_is_the_one_of_nbgrader(graded):
    course, marks = graded
    give(course, "ada", 4)
    grade(course)
    command = [sys.executable, "-m", "nbgrader", "export", "--to", "theirs.csv", "--assignment", f"['{CHAPTER}']"]
    subprocess.run(command, cwd=course, check=True, capture_output=True)
    with open(course / "theirs.csv", newline="") as file:
        theirs = {line["student_id"]: line for line in csv.DictReader(file)}
    assert theirs == exported(course)
    assert float(theirs["ada"]["score"]) == marks["ada"] + 4


def test_grading_again_changes_nothing(graded):
    course, _ = graded
    give(course, "ada", 6)
    grade(course)
    before = contents(course)
    files = {
        path: path.stat().st_mtime_ns for name in ("autograded", "feedback") for path in (course / name).rglob("*.*")
    }

    def never(submissions):
        raise AssertionError("nothing is left to run")
        yield

    grade(course, never)
    assert contents(course) == before
    assert files == {path: path.stat().st_mtime_ns for path in files}


def test_one_student_can_be_graded_alone(graded):
    course, marks = graded
    asked = []

    def by(submissions):
        asked.extend(submission.student for submission in submissions)
        yield from engine(submissions)

    assert set(grade(course, by, students=["cem"], again=True)) == {"cem"}
    assert asked == ["cem"]
    assert set(exported(course)) == set(marks), "the others stay in the export"
    with pytest.raises(ClickException, match="nothing handed in by zoe; there is ada, ben, cem, dee"):
        grade(course, by, students=["zoe"])


def test_what_no_sandbox_can_judge_waits_for_a_person(toy_course):
    fill_class(toy_course)

    def by(submissions):
        for submission in submissions:
            result = judged(submission)
            yield replace(result, scores=dict(result.scores) | {"check-mean": Score(None, 7)})

    rows = grade(toy_course, by)
    assert all("check-mean" in row.waiting and row.score is not None for row in rows.values())


@pytest.mark.parametrize("how", ["no result", "another's", "too many points", "missing", "unknown", "dies"])
def test_a_result_that_cannot_be_right_is_no_mark_and_no_zero(how, toy_course):
    fill_class(toy_course)

    def by(submissions):
        for submission in submissions:
            result = judged(submission)
            scores = dict(result.scores)
            if submission.student != "cem":
                yield result
            elif how == "another's":
                yield replace(result, digest="0" * 64)
            elif how == "too many points":
                yield replace(result, scores=scores | {"check-mean": Score(100, 100)})
            elif how == "missing":
                scores.pop("check-mean")
                yield replace(result, scores=scores)
            elif how == "unknown":
                yield replace(result, scores=scores | {"check-all": Score(1, 1)})
            elif how == "dies":
                yield Result("cem", CHAPTER, result.digest, "not_graded", notes=("the sandbox did not start",))

    rows = grade(toy_course, by)
    assert rows["cem"].score is None and rows["cem"].reason
    assert rows["dee"].score == 11
    assert "cem" not in exported(toy_course)
    assert grade(toy_course)["cem"].score == 7, "the next run tries again"


def test_a_grader_that_fails_on_the_same_submission_does_not_undo_its_mark(graded):
    course, marks = graded

    def broken(submissions):
        for one in submissions:
            yield Result(one.student, CHAPTER, one.digest, "not_graded", notes=("no sandbox",))

    rows = grade(course, broken, again=True)
    assert {student: row.score for student, row in rows.items()} == marks
    assert "could not be graded again" in (course / "grades" / CHAPTER / "report.html").read_text()
    hand_in(course, "ada", notebook(course, {}))
    assert grade(course, broken)["ada"].score is None, "a mark of another submission is stale"


def test_the_time_of_handing_in_is_nbgraders(toy_course):
    hand_in(toy_course, "ada", notebook(toy_course)).with_name("timestamp.txt").write_text("2026-11-20 12:00:00 CET")
    hand_in(toy_course, "ben", notebook(toy_course)).with_name("timestamp.txt").write_text("yesterday-ish")
    grade(toy_course)
    assert exported(toy_course)["ada"]["timestamp"].startswith("2026-11-20 11:00:00")
    assert exported(toy_course)["ben"]["timestamp"] == ""


def change_chapter(course: Path, change) -> None:
    for folder in ("solutions", "chapters"):
        path = course / folder / CHAPTER / f"{CHAPTER}.ipynb"
        document = nbformat.read(path, as_version=4)
        change(document.cells)
        nbformat.write(document, path)


def test_a_graded_cell_may_be_added_and_points_changed_after_marking(graded):
    course, _ = graded
    before = json.loads((course / "grades" / CHAPTER / "results" / "ada.json").read_text())

    def add(cells):
        new = nbformat.v4.new_code_cell("pass", id="check-new")
        new.metadata = nbformat.NotebookNode(
            nbgrader={"grade_id": "check-new", "grade": True, "points": 2, "locked": True, "solution": False}
            | {"schema_version": 3, "task": False}
        )
        cells.append(new)
        find(cells, "check-mean").metadata.nbgrader.points = 9

    change_chapter(course, add)

    def by(submissions):
        for submission in submissions:
            scores = judged(submission).scores | {"check-new": Score(2, 2)}
            scores["check-mean"] = Score(9 if scores["check-mean"].points else 0, 9)
            yield replace(judged(submission), scores=scores)

    rows = grade(course, by)
    assert (rows["ada"].score, rows["ada"].max_score) == (9 + 4 + 3 + 2, 9 + 4 + 3 + 2 + WRITTEN)
    assert json.loads((course / "grades" / CHAPTER / "results" / "ada.json").read_text())["course"] != before["course"]


def test_a_graded_cell_may_go_unless_a_person_marked_it(graded):
    course, _ = graded
    give(course, "cem", 2, "check-median", "")
    change_chapter(course, lambda cells: cells.remove(find(cells, "check-median")))
    before = contents(course)
    with pytest.raises(ClickException, match="the gradebook holds what a person gave for it"):
        grade(course)
    assert contents(course) == before
    with opened(course) as book:
        book.find_grade("check-median", CHAPTER, CHAPTER, "cem").manual_score = None
        book.db.commit()

    def by(submissions):
        for one in submissions:
            scores = {name: score for name, score in judged(one).scores.items() if name != "check-median"}
            yield replace(judged(one), scores=scores)

    assert grade(course, by)["ada"].score == 10


def test_the_gradebook_is_backed_up_before_each_run_that_finds_another(graded):
    course, _ = graded
    folder = course / "grades" / "backup"
    assert not list(folder.glob("*")), "there was nothing to back up"
    grade(course)
    grade(course)
    (first,) = folder.glob("*")
    with Gradebook(f"sqlite:///{first}") as book:
        assert book.find_submission(CHAPTER, "ada").score == 14


def test_two_graders_at_once_are_refused_with_the_reason(toy_course):
    fill_class(toy_course)
    with gradebook.lock(toy_course / "grades" / ".lock"):
        with pytest.raises(ClickException, match=rf"process {os.getpid()} \(since .*\) is grading here"):
            grade(toy_course)
    assert not (toy_course / "gradebook.db").exists()
    assert grade(toy_course)["ada"].score == 14


def test_a_half_made_gradebook_is_made_whole(toy_course):
    fill_class(toy_course)
    with sqlite3.connect(toy_course / "gradebook.db") as connection:
        connection.execute("CREATE TABLE course (id VARCHAR(128) NOT NULL, PRIMARY KEY (id), UNIQUE (id))")
    assert grade(toy_course)["ada"].score == 14
    with sqlite3.connect(toy_course / "gradebook.db") as connection:
        (version,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    from nbgrader.api import get_alembic_version

    assert version == get_alembic_version()


def test_a_gradebook_of_another_version_is_refused(graded):
    course, _ = graded
    with sqlite3.connect(course / "gradebook.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'older'")
    with pytest.raises(ClickException, match="nbgrader db upgrade"):
        grade(course)


def test_a_dry_run_writes_nothing(toy_course, capsys):
    fill_class(toy_course)
    (toy_course / "submitted" / "late").mkdir()
    before = sorted(toy_course.rglob("*"))
    grade(toy_course, dry_run=True)
    assert sorted(toy_course.rglob("*")) == before
    printed = capsys.readouterr().out
    assert "ada                      would be graded: 4 answers" in printed
    assert "late                     can't be graded: nothing handed in" in printed


def test_uploads_are_untouched_and_the_table_says_what_came_of_them(toy_course, capsys):
    fill_class(toy_course)
    hand_in(toy_course, "torn", b"{")
    before = {path: path.read_bytes() for path in (toy_course / "submitted").rglob("*.ipynb")}
    grade(toy_course)
    assert before == {path: path.read_bytes() for path in (toy_course / "submitted").rglob("*.ipynb")}
    printed = capsys.readouterr().out
    assert "[1/4] ada: 14 points" in printed
    assert re.search(r"\[2/4, about \d+ s left\] ben: 0 points", printed)
    if os.name == "posix":
        assert (toy_course / "grades").stat().st_mode & 0o077 == 0, "nobody else reads the marks"
    assert "dee                         11 of 20     waits for a person: written-choice" in printed
    assert "torn                     no mark       01_averages/01_averages.ipynb: not a notebook" in printed
    assert "5 submissions: 4 with a mark, 8.0 points on average, 1 without; 2 wait for a person" in printed


def test_uploads_can_be_a_zip_or_lie_elsewhere(toy_course):
    from tests.grading.handed_in import zipped

    export = toy_course / "moodle.zip"
    export.write_bytes(zipped({"Ada Lovelace_7_assignsubmission_file_/x.ipynb": as_bytes(notebook(toy_course))}))
    assert grade(toy_course, place=export)["Ada-Lovelace"].score == 14
    with pytest.raises(ClickException, match="no submissions: they belong in .*/submitted/STUDENT"):
        grade(toy_course)
