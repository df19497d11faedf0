"""Mark what was handed in for a chapter with nbgrader, one submission at a time, and export the marks.

Submissions lie in `submitted/STUDENT/CHAPTER/CHAPTER.ipynb`. The students' code runs as whoever types the command:
grade only what you would run yourself.
"""

import hashlib
import os
import re
import shutil
import sqlite3
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps import NbGraderAPI
from nbgrader.plugins import CsvExportPlugin
from traitlets.config import PyFileConfigLoader

NAME = re.compile(r"[A-Za-z0-9][\w.@+-]*")  # nbgrader overlooks folders such as `[x]` and `.hidden` in silence
DIGEST = ".graded"


@dataclass(frozen=True)
class Row:
    """What came of one submission: its marks, or why there are none."""

    student: str
    score: float | None = None
    max_score: float | None = None
    waiting: tuple[str, ...] = ()
    reason: str = ""

    def __str__(self) -> str:
        if self.score is None:
            return f"{self.student:<24} no mark       {self.reason}"
        waits = f"  waits for a person: {', '.join(self.waiting)}" if self.waiting else ""
        return f"{self.student:<24} {self.score:>5g} of {self.max_score:<5g}{waits}"


def grade(root: Path, chapter: str, submissions: Path | None = None) -> list[Row]:
    """Mark all submissions of `chapter`, write feedback and `grades/CHAPTER.csv`, and print a table.

    A submission that did not change since it was marked keeps its mark. One that can't be marked is named with the
    reason, has no line in the export, and stops nobody else's.
    """
    root = root.resolve()
    submissions = (submissions or root / "submitted").resolve()
    master = root / "solutions" / chapter / f"{chapter}.ipynb"
    if not master.is_file():
        raise click.ClickException(f"there is no {master.relative_to(root)}: is the chapter built, and the name right?")
    folders = sorted(folder for folder in submissions.glob("*") if folder.is_dir()) if submissions.is_dir() else []
    if not folders:
        raise click.ClickException(f"no submissions: they belong in {submissions}/STUDENT/{chapter}/{chapter}.ipynb")
    _back_up(root)
    with tempfile.TemporaryDirectory() as release, _environment(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nbgrader's own, about its database
        nbgrader = _nbgrader(root, submissions, Path(release))
        _register(nbgrader, chapter)
        rows = []
        for folder in folders:
            row = _mark(nbgrader, root, master, folder / chapter)
            click.echo(str(row))
            rows.append(row)
    with Gradebook(nbgrader.coursedir.db_url) as gradebook:
        marked = [row.student for row in rows if row.score is not None]
        _export(gradebook, root / "grades" / f"{chapter}.csv", chapter, marked)
    return rows


@contextmanager
def _environment() -> Iterator[None]:
    """The variables that nbgrader and the students' kernels need; afterwards all are as they were."""
    before = dict(os.environ)
    # nbgrader starts `alembic` by name.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    os.environ["PYTHONWARNINGS"] = "ignore"  # an honest warning in a graded cell would cost all its marks
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _back_up(root: Path) -> None:
    gradebook = root / "gradebook.db"
    if gradebook.is_file():
        copy = root / "grades" / "backup" / f"gradebook-{datetime.now():%Y%m%d-%H%M%S}.db"
        copy.parent.mkdir(parents=True, exist_ok=True)
        with sqlite3.connect(gradebook) as source, sqlite3.connect(copy) as target:
            source.backup(target)


def _nbgrader(root: Path, submissions: Path, release: Path) -> NbGraderAPI:
    """nbgrader with the course's settings, which releases into a folder of its own and never over `chapters/`."""
    config = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
    config.CourseDirectory.root = str(root)
    config.CourseDirectory.submitted_directory = str(submissions)
    config.CourseDirectory.release_directory = str(release)
    return NbGraderAPI(config=config)


def _register(nbgrader: NbGraderAPI, chapter: str) -> None:
    result = nbgrader.generate_assignment(chapter)
    if not result["success"]:
        raise click.ClickException(
            f"nbgrader can't take {chapter} into the gradebook: {_reason(result)}. (Graded cells that are added or "
            "removed after submissions were marked are refused: finish marking with the old chapter first.)"
        )


def _mark(nbgrader: NbGraderAPI, root: Path, master: Path, folder: Path) -> Row:
    student, chapter = folder.parent.name, folder.name
    reason = _unfit(folder)
    if reason:
        return Row(student, reason=reason)
    marked = root / "autograded" / student / chapter / DIGEST
    digest = _digest(folder, master)
    if not (marked.is_file() and marked.read_text() == digest):
        result = nbgrader.autograde(chapter, student, force=True)
        if result["success"]:
            result = nbgrader.generate_feedback(chapter, student, force=True)
        if not result["success"]:
            _forget(nbgrader, root, student, chapter)
            return Row(student, reason=_reason(result))
        marked.write_text(digest)
    with Gradebook(nbgrader.coursedir.db_url) as gradebook:
        submission = gradebook.find_submission(chapter, student)
        grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
        waiting = tuple(grade.name for grade in grades if grade.needs_manual_grade)
        return Row(student, submission.score, submission.max_score, waiting)


def _unfit(folder: Path) -> str:
    """Why a submission is not given to nbgrader, or nothing."""
    student, notebook = folder.parent, folder / f"{folder.name}.ipynb"
    if not NAME.fullmatch(student.name):
        return f"nbgrader can't read a folder of this name: use letters, digits and - _ . @ + ({student})"
    if student.is_symlink() or folder.is_symlink() or notebook.is_symlink():
        return "a link, not a submission"
    if not folder.is_dir():
        return "nothing handed in"
    if not notebook.is_file():
        found = ", ".join(sorted(path.name for path in folder.iterdir())) or "an empty folder"
        return f"no {notebook.name}; found {found}"
    return ""


def _digest(folder: Path, master: Path) -> str:
    """What a mark depends on: the submission, the instructor's notebook, and the chapter's checks."""
    checks = Path(__file__).parents[1] / "checks"
    shared, own = sorted(checks.glob("_*.py")), checks / f"{folder.name.partition('_')[2]}.py"
    digest = hashlib.sha256()
    for path in (*sorted(folder.rglob("*")), master, *shared, own):
        if path.is_file():
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _forget(nbgrader: NbGraderAPI, root: Path, student: str, chapter: str) -> None:
    """A submission that fails keeps no mark or feedback of an earlier one. What a person gave it stays."""
    shutil.rmtree(root / "autograded" / student / chapter, ignore_errors=True)
    shutil.rmtree(root / "feedback" / student / chapter, ignore_errors=True)
    with Gradebook(nbgrader.coursedir.db_url) as gradebook:
        try:
            submission = gradebook.find_submission(chapter, student)
        except MissingEntry:
            return
        for notebook in submission.notebooks:
            for grade in notebook.grades:
                grade.auto_score, grade.needs_manual_grade = None, True
        gradebook.db.commit()


def _reason(result: dict[str, str]) -> str:
    """What nbgrader's log says of the error, in one line."""
    log = result.get("log", "")
    errors = re.findall(r"^ +(?:\w+\.)*(\w+(?:Error|Exception): .*)$", log, re.MULTILINE)
    said = re.findall(r"^\[ERROR\] (.*)$", log, re.MULTILINE)
    return errors[-1] if errors else said[0] if said else "nbgrader failed and gave no reason"


def _export(gradebook: Gradebook, path: Path, chapter: str, students: list[str]) -> None:
    """nbgrader's CSV of the students who have a mark: to it, everybody else would have 0."""
    if not students:
        click.echo("nobody has a mark: no export written")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".csv.part")
    CsvExportPlugin(to=str(unfinished), student=students, assignment=[chapter]).export(gradebook)
    unfinished.replace(path)
    click.echo(f"{len(students)} marks in {path}")
