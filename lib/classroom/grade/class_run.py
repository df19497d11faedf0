"""`classroom grade`: from a folder of uploads to marks in the gradebook, feedback for each student, and a report.

Each submission ends in one file `grades/CHAPTER/results/STUDENT.json`; all else is made from these files, the uploads
and the gradebook, and making it again changes nothing. So whoever is killed at any point starts again where it stopped.
"""

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import click
import nbformat
from nbformat import NotebookNode
from nbgrader.coursedir import CourseDirectory
from sqlalchemy.exc import DBAPIError
from traitlets.config import PyFileConfigLoader

from classroom.grade import gradebook, intake
from classroom.grade.feedback import feedback, folders
from classroom.grade.gradebook import Book, Mark
from classroom.grade.intake import Intake, Received
from classroom.grade.marked import answers_in, harmless, marked, without_solutions
from classroom.grade.report import Line, report
from classroom.grade.result import Result, write_whole
from classroom.grade.similarity import pairs
from classroom.grade.submission import Submission
from classroom.source import is_solution, marks

Engine = Callable[[list[Submission]], Iterator[Result]]


@dataclass(frozen=True)
class Row:
    """What came of one submission: its marks, or why there are none."""

    student: str
    score: float | None = None
    max_score: float | None = None
    waiting: tuple[str, ...] = ()
    reason: str = ""
    status: str = "graded"

    def __str__(self) -> str:
        if self.score is None:
            return f"{self.student:<24} no mark       {self.reason}"
        waits = f"  waits for a person: {', '.join(self.waiting)}" if self.waiting else ""
        what = {"failed": "  its code stopped", "timed_out": "  ran out of time"}.get(self.status, "")
        return f"{self.student:<24} {self.score:>5g} of {self.max_score:<5g}{what}{waits}"


@dataclass
class Course:
    """The files of one chapter in a course folder, and what they hold."""

    root: Path
    chapter: str
    master: NotebookNode = field(repr=False)
    released: NotebookNode = field(repr=False)
    unsolved: NotebookNode = field(repr=False)
    digest: str

    @classmethod
    def load(cls, root: Path, chapter: str) -> "Course":
        """Raises `ClickException` if the chapter is not there."""
        files = [root / folder / chapter / f"{chapter}.ipynb" for folder in ("solutions", "chapters")]
        for file in files:
            if not file.is_file():
                raise click.ClickException(
                    f"there is no {file.relative_to(root)}: is the chapter built, and the name right?"
                )
        master, released = (nbformat.read(file, as_version=4) for file in files)
        checks = Path(__file__).parents[1] / "checks"
        digest = hashlib.sha256()
        for path in (*files, *sorted(checks.glob("_*.py")), checks / f"{chapter.partition('_')[2]}.py"):
            if path.is_file():
                digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
        return cls(root, chapter, master, released, without_solutions(master), digest.hexdigest())

    @property
    def grades(self) -> Path:
        return self.root / "grades" / self.chapter

    def result(self, student: str) -> Path:
        return self.grades / "results" / f"{student}.json"

    def shown(self, student: str) -> Path:
        """The notebook that formgrader shows."""
        return self.root / "autograded" / student / self.chapter / f"{self.chapter}.ipynb"

    def feedback(self, student: str) -> Path:
        return self.root / "feedback" / student / self.chapter / f"{self.chapter}.html"

    def answer(self, submission: Submission, cell: NotebookNode) -> str:
        """An answer as the notebook for formgrader has it, the released text where there is none."""
        source = submission.answers.get(marks(cell)["grade_id"])
        if source is None:
            return cell.source
        return source if cell.cell_type == "code" else harmless(source)

    def chapters(self) -> set[str]:
        return {path.name for path in (self.root / "chapters").iterdir() if path.is_dir()}


def grade(
    root: Path,
    chapter: str,
    place: Path | None = None,
    *,
    students: Iterable[str] = (),
    again: bool = False,
    jobs: int = 0,
    dry_run: bool = False,
    unsafe: bool = False,
    cluster: str = "",
) -> list[Row]:
    """As `run`, with submissions run in sandboxes on this machine, in `jobs` processes (one a core unless told).

    With the address of a Dask scheduler in `cluster` they run on its workers, each in a sandbox on its machine.

    Raises `ClickException`, before anything is written, where students' code can't be kept from the rest, unless
    `unsafe`.
    """
    from classroom.grade.cluster import engine as on_cluster
    from classroom.grade.pool import engine
    from classroom.grade.sandbox import SandboxFailed, protections

    Course.load(root.resolve(), chapter)
    try:
        if cluster and not dry_run:
            by = on_cluster(root.resolve(), chapter, cluster, unsafe)
        else:
            by = None if dry_run else engine(root.resolve(), chapter, jobs, unsafe)
    except SandboxFailed as failed:
        raise click.ClickException(
            f"students' code can't be kept from your files and the marks here: {failed}\n"
            "Nothing was run. `classroom doctor` says more; with --unsafe the code runs with all that you may do."
        ) from failed
    if unsafe:
        click.echo("UNSAFE: what can't be protected here is left open to the students' code", err=True)
    found = [] if dry_run or cluster else protections()
    said = [f"graded on the cluster at {cluster}, each worker in its own sandbox"] if cluster else []
    said += [f"{one.name}: {'on' if one.on else 'OFF'}{f' ({one.reason})' if one.reason else ''}" for one in found]
    return run(root, chapter, place, by, students=students, again=again, dry_run=dry_run, protections=said)


def run(
    root: Path,
    chapter: str,
    place: Path | None = None,
    engine: Engine | None = None,
    *,
    students: Iterable[str] = (),
    again: bool = False,
    dry_run: bool = False,
    protections: Iterable[str] = (),
) -> list[Row]:
    """Grade the uploads in `place` (a folder or a zip; `submitted/` unless told) by `engine`, which runs submissions.

    Of `students` only, if any are named; `again` grades those too whose submission did not change. A submission that
    can't be graded is named with the reason, keeps no mark of an older one, and stops nobody else's.
    """
    root = root.resolve()
    course = Course.load(root, chapter)
    place = (place or root / "submitted").resolve()
    if not place.exists():
        raise click.ClickException(f"no submissions: they belong in {place}/STUDENT/{chapter}/{chapter}.ipynb")
    received = intake.take_in(place, chapter, course.released, course.chapters())
    chosen = _chosen(received, set(students), place, chapter)
    if dry_run:
        return _say_what_would_be_done(course, received, chosen, again)
    try:
        with gradebook.lock(root / "grades" / ".lock"):
            return _grade(course, received, chosen, engine, again, protections)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise click.ClickException(f"{error.strerror or error}{where}. {NOTHING_LOST}") from error
    except (DBAPIError, sqlite3.Error) as error:
        reason = getattr(error, "orig", error)
        raise click.ClickException(f"the gradebook can't be written: {reason}. {NOTHING_LOST}") from error


NOTHING_LOST = "What was graded is kept: mend this and start again, and it goes on from here."


def _chosen(received: Intake, students: set[str], place: Path, chapter: str) -> set[str]:
    found = {item.submission.student for item in received.received} | {item.student for item in received.unreadable}
    if not found:
        more = f" Found, and not understood: {', '.join(received.ignored[:10])}." if received.ignored else ""
        raise click.ClickException(
            f"no submissions: they belong in {place}/STUDENT/{chapter}/{chapter}.ipynb (zips and exports of Moodle and "
            f"Canvas do, too).{more}"
        )
    unknown = sorted(students - found)
    if unknown:
        raise click.ClickException(f"nothing handed in by {', '.join(unknown)}; there is {', '.join(sorted(found))}.")
    return students or found


def _grade(
    course: Course,
    received: Intake,
    chosen: set[str],
    engine: Engine | None,
    again: bool,
    protections: Iterable[str],
) -> list[Row]:
    _tidy(course)
    url = database(course.root)
    gradebook.back_up(url, course.root / "grades" / "backup")
    with Book(url, course.chapter, course.unsolved) as book:
        ours = {item.submission.student: item for item in received.received}
        for item in received.unreadable:
            if item.student in chosen:
                notes = (item.reason, *(note for note in item.notes if note not in item.reason))
                failed = Result(item.student, course.chapter, "", "not_graded", notes=notes, course=course.digest)
                _keep(course, book, failed, None)
        todo = []
        for student, item in ours.items():
            kept = _kept(course, book, item.submission)
            if student in chosen and (kept is None or again):
                todo.append(item)
            elif kept is not None:
                _keep(course, book, kept, item, already=True)
        _run(course, book, todo, len(chosen & ours.keys()) - len(todo), engine)
        return _finish(course, book, received, chosen, protections)


def _run(course: Course, book: Book, todo: list[Received], kept: int, engine: Engine | None) -> None:
    """Grade what is left to do, keeping each result as it comes."""
    if kept:
        click.echo(f"{kept} graded before, and unchanged")
    if not todo:
        return
    if engine is None:
        raise click.ClickException("nothing here can run submissions")
    left = {item.submission.student: item for item in todo}
    first, width = 0.0, len(str(len(todo)))
    for result in engine([item.submission for item in todo]):
        item = left.get(result.student)
        if item is None or result.digest != item.submission.digest or result.chapter != course.chapter:
            click.echo(f"a result that nobody asked for was dropped: {result.student!r}", err=True)
            continue
        del left[result.student]
        result = _keep(course, book, _checked(course, book, result), item)
        done = len(todo) - len(left)
        now = time.monotonic()
        first = first or now  # before it the sandboxes were started, which says nothing of what is left
        seconds = (now - first) / max(1, done - 1) * len(left)
        remaining = f", about {_duration(seconds)} left" if left and done > 1 else ""
        points = sum(score.points or 0 for score in result.scores.values())
        what = f"{points:g} points" if result.scores else f"not graded: {(*result.notes, 'no reason given')[0]}"
        click.echo(f"[{done:>{width}}/{len(todo)}{remaining}] {result.student}: {what}")
    for item in left.values():
        notes = ("the grader ended without a result for it",)
        lost = Result(item.submission.student, course.chapter, item.submission.digest, "not_graded", notes=notes)
        _keep(course, book, lost, item)


def _checked(course: Course, book: Book, result: Result) -> Result:
    """The result with what it was judged by, or one that says why it can't be right."""
    problems = book.problems(result)
    if problems:
        notes = (f"the result does not fit the chapter: {'; '.join(problems[:5])}", *result.notes)
        result = replace(result, status="not_graded", scores={}, notes=notes)
    return replace(result, course=course.digest)


def _kept(course: Course, book: Book, submission: Submission) -> Result | None:
    """The result of an earlier run, if it is whole and nothing that it depends on has changed."""
    try:
        result = Result.read(course.result(submission.student))
    except (OSError, ValueError):
        return None
    same = (result.student, result.chapter, result.digest, result.course) == (
        submission.student, submission.chapter, submission.digest, course.digest,
    )  # fmt: skip
    return result if same and result.status != "not_graded" and not book.problems(result) else None


def _keep(course: Course, book: Book, result: Result, item: Received | None, already: bool = False) -> Result:
    """Write a result down: its file, the gradebook, and the notebook for formgrader, in this order."""
    if not already:
        result = _or_older(course, book, result, item)
        result.write(course.result(result.student))
    shown = course.shown(result.student)
    if item is None or result.status == "not_graded":
        book.merge(result, set(), set())
        for path in (shown, course.feedback(result.student)):
            path.unlink(missing_ok=True)
            with suppress(OSError):
                path.parent.rmdir()
        return result
    solutions = [cell for cell in course.unsolved.cells if is_solution(cell)]
    before = answers_in(shown)
    now = {marks(cell)["grade_id"]: course.answer(item.submission, cell) for cell in solutions}
    blank = {marks(cell)["grade_id"] for cell in solutions if _is_blank(item.submission, cell)}
    book.merge(result, blank, {name for name in now if before.get(name) != now[name]}, item.time)
    _write_if_new(shown, marked(course.unsolved, item.submission, result))
    return result


def _or_older(course: Course, book: Book, result: Result, item: Received | None) -> Result:
    """What we could not grade this time keeps the result that it has, if the submission is still the same one."""
    if result.status != "not_graded" or item is None:
        return result
    kept = _kept(course, book, item.submission)
    if kept is None:
        return result
    why = f"could not be graded again, so its earlier result stays: {(*result.notes, 'no reason given')[0]}"
    return replace(kept, notes=tuple(dict.fromkeys((*kept.notes, why))))


def _is_blank(submission: Submission, cell: NotebookNode) -> bool:
    answer = submission.answers.get(marks(cell)["grade_id"])
    return answer is None or not answer.strip() or answer.strip() == cell.source.strip()


def _finish(course: Course, book: Book, received: Intake, chosen: set[str], protections: Iterable[str]) -> list[Row]:
    """Feedback, export, report and the table at the end, all from what is on the disk."""
    all_marks = book.marks()
    lines = [_line(course, item, all_marks) for item in received.received]
    lines += [_line(course, item, all_marks) for item in received.unreadable]
    lines = sorted((line for line in lines if line), key=lambda line: line.student)
    for line in lines:
        if line.mark and line.submission:
            page = feedback(course.released, line.submission, line.result, line.mark, folders(course.root))
            _write_if_new(course.feedback(line.student), page)
    csv = course.root / "grades" / f"{course.chapter}.csv"
    have_marks = {student for student in all_marks if _has_mark(course, student)}
    if have_marks:
        click.echo(f"{book.export(csv, have_marks)} marks in {csv}")
    else:
        csv.unlink(missing_ok=True)
        click.echo("nobody has a mark: no export written")
    submissions = {line.student: line.submission for line in lines if line.submission}
    when = f"{datetime.now():%Y-%m-%d %H:%M}"
    page = report(course.released, lines, _alike(course, submissions), protections, when)
    write_whole(course.grades / "report.html", page)
    rows = [_row(line) for line in lines if line.student in chosen]
    for row in rows:
        click.echo(str(row))
    click.echo(_summary(rows, lines))
    click.echo(f"report: {course.grades / 'report.html'}")
    return rows


def _line(course: Course, item: Received | intake.Unreadable, all_marks: dict[str, Mark]) -> Line | None:
    submission = item.submission if isinstance(item, Received) else None
    student = submission.student if submission else item.student
    try:
        result = Result.read(course.result(student))
    except (OSError, ValueError):
        return None
    stale = submission is not None and result.digest != submission.digest
    has_mark = result.status != "not_graded" and student in all_marks
    notes = ("handed in anew, and not graded since: its mark is of the one before",) if stale and has_mark else ()
    mark = all_marks[student] if has_mark else None
    return Line(student, item.place if submission else "", result, None if stale else submission, mark, notes)


def _row(line: Line) -> Row:
    if line.mark is None:
        return Row(line.student, reason=(*line.result.notes, "no reason given")[0], status=line.result.status)
    return Row(line.student, line.mark.score, line.mark.max, line.mark.waiting, status=line.result.status)


def _has_mark(course: Course, student: str) -> bool:
    """Could the student's last submission be graded? It need not be among the uploads any more."""
    try:
        return Result.read(course.result(student)).status != "not_graded"
    except FileNotFoundError:
        return True  # marked by nbgrader alone
    except (OSError, ValueError):
        return False


def _alike(course: Course, submissions: dict[str, Submission]) -> list:
    """The pairs of answers that resemble each other more than the chapter explains."""
    known, answers = {}, {}
    for solved, unsolved in (
        (cell, _cell(course.released, cell.id)) for cell in course.master.cells if is_solution(cell)
    ):
        name = marks(solved)["grade_id"]
        known[name] = [solved.source, unsolved.source if unsolved is not None else ""]
        found = {student: one.answers[name] for student, one in submissions.items() if name in one.answers}
        answers[name] = {student: text for student, text in found.items() if text.strip() != known[name][1].strip()}
    return pairs(answers, known)


def _cell(notebook: NotebookNode, place: str) -> NotebookNode | None:
    return next((cell for cell in notebook.cells if cell.id == place), None)


def _summary(rows: list[Row], lines: list[Line]) -> str:
    marked_rows = [row for row in rows if row.score is not None]
    mean = f", {sum(row.score for row in marked_rows) / len(marked_rows):.1f} points on average" if marked_rows else ""
    look = sum(bool(line.all_notes) for line in lines)
    waiting = sum(bool(row.waiting) for row in rows)
    return (
        f"{len(rows)} submissions: {len(marked_rows)} with a mark{mean}, {len(rows) - len(marked_rows)} without; "
        f"{waiting} wait for a person, {look} have notes in the report"
    )


def _say_what_would_be_done(course: Course, received: Intake, chosen: set[str], again: bool) -> list[Row]:
    for item in received.received:
        submission = item.submission
        if submission.student not in chosen:
            continue
        try:
            old = Result.read(course.result(submission.student))
            same = (old.digest, old.course) == (submission.digest, course.digest) and old.status != "not_graded"
        except (OSError, ValueError):
            same = False
        what = "unchanged, would stay as it is" if same and not again else "would be graded"
        click.echo(f"{submission.student:<24} {what}: {len(submission.answers)} answers in {item.place}")
        for note in submission.notes:
            click.echo(f"{'':<24}   {note}")
    for item in received.unreadable:
        if item.student in chosen:
            click.echo(f"{item.student:<24} can't be graded: {item.reason}")
    for name in received.ignored:
        click.echo(f"{'':<24} belongs to nobody: {name}")
    click.echo("nothing was run, and nothing written")
    return []


def database(root: Path) -> str:
    """The gradebook's address: nbgrader's own setting, `gradebook.db` in the course's folder unless told."""
    config = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
    config.CourseDirectory.root = str(root)
    return CourseDirectory(config=config).db_url


def _write_if_new(path: Path, text: str) -> None:
    data = text.encode("utf-8", "replace")
    try:
        same = path.read_bytes() == data
    except OSError:
        same = False
    if not same:
        write_whole(path, data, durable=False)


def _tidy(course: Course) -> None:
    """Remove what a run that was killed left unfinished."""
    unfinished = ".*.part"
    folders = [course.grades, course.grades / "results", course.root / "grades", course.root / "grades" / "backup"]
    folders += [*course.root.glob(f"*graded/*/{course.chapter}"), *course.root.glob(f"feedback/*/{course.chapter}")]
    for folder in folders:
        for path in folder.glob(unfinished):
            path.unlink(missing_ok=True)
    for path in (*course.root.glob(".gradebook.db.*.part*"), *(course.root / "grades").glob(".secret.*")):
        path.unlink(missing_ok=True)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
