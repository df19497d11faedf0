"""Write marks into nbgrader's gradebook: one writer, one transaction a student, nothing of a person's undone.

What a person gave (a manual score, extra credit, a comment, a flag) is never written, only read. Whoever is killed
between two transactions leaves a gradebook in which every student has the old marks or the new ones; writing again
changes nothing.
"""

import csv
import io
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import sqlalchemy
from nbformat import NotebookNode
from nbgrader import api
from nbgrader.utils import parse_utc
from sqlalchemy import Connection, Engine, delete, insert, select, update

from classroom.grade.result import Result, write_whole
from classroom.source import is_graded, is_solution, marks

SECONDS_TO_WAIT = 60  # for somebody else who is writing, for instance formgrader
ASSIGNMENT, NOTEBOOK = api.Assignment.__table__, api.Notebook.__table__
CELL, GRADE_CELL, SOLUTION_CELL = api.BaseCell.__table__, api.GradeCell.__table__, api.SolutionCell.__table__
SOURCE_CELL, STUDENT = api.SourceCell.__table__, api.Student.__table__
SUBMITTED, SUBMITTED_NOTEBOOK = api.SubmittedAssignment.__table__, api.SubmittedNotebook.__table__
GRADE, COMMENT = api.Grade.__table__, api.Comment.__table__
COLUMNS = ("assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email")
COLUMNS += ("raw_score", "late_submission_penalty", "score", "max_score")


@dataclass
class CellMark:
    """What the gradebook holds of one graded cell of one student."""

    auto: float | None
    manual: float | None
    extra: float | None
    max: float
    waits: bool

    @property
    def points(self) -> float:
        given = self.manual if self.manual is not None else self.auto or 0.0
        return given + (self.extra or 0.0)


@dataclass
class Mark:
    """A student's marks for the chapter: by graded cell, and a person's comments by answer."""

    cells: dict[str, CellMark] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    timestamp: datetime | None = None
    penalty: float = 0.0

    @property
    def score(self) -> float:
        return sum(cell.points for cell in self.cells.values())

    @property
    def max(self) -> float:
        return sum(cell.max for cell in self.cells.values())

    @property
    def waiting(self) -> tuple[str, ...]:
        return tuple(name for name, cell in self.cells.items() if cell.waits)


class Book:
    """nbgrader's gradebook at a database URL, opened for one chapter."""

    def __init__(self, url: str, chapter: str, master: NotebookNode):
        """`master` is the instructor's notebook without the solutions, as nbgrader keeps it."""
        self.chapter, self.master = chapter, master
        self.engine = engine(url)
        self._register()

    def __enter__(self) -> "Book":
        return self

    def __exit__(self, *_: Any) -> None:
        self.engine.dispose()

    def problems(self, result: Result) -> list[str]:
        """Why a result can't be the one of this chapter; nothing for a result that was not graded."""
        if result.status == "not_graded":
            return []
        automatic = {name for name, manual in self.manual.items() if not manual}
        found = [f"no score for {name}" for name in sorted(automatic - result.scores.keys())]
        found += [f"a score for {name}, which is not marked" for name in sorted(result.scores.keys() - self.max.keys())]
        for name, score in result.scores.items():
            if name in self.max and score.max != self.max[name]:
                found.append(f"{name} counts {score.max:g} points in the result and {self.max[name]:g} in the chapter")
        return found

    def merge(self, result: Result, blank: set[str], rewritten: set[str], time: str = "") -> None:
        """Write what came of one submission, in one transaction.

        `blank` are the answers that were left as they were released, `rewritten` those that are not what they were when
        the gradebook was last written: what a person gave for them waits for another look. `time` is when it was
        handed in.
        """
        student = result.student
        with self.engine.begin() as connection:
            if result.status == "not_graded":
                self._clear(connection, student)
                return
            notebook = self._submission(connection, student, _when(time))
            grades, comments = _rows(connection, GRADE, notebook), _rows(connection, COMMENT, notebook)
            for name, cell in self.graded.items():
                row = grades.get(cell) or _add(connection, GRADE, cell, notebook, needs_manual_grade=True)
                values = self._grade(result, name, row, name in blank, name in rewritten)
                _change(connection, GRADE, row, values)
            for name, cell in self.solutions.items():
                row = comments.get(cell) or _add(connection, COMMENT, cell, notebook)
                _change(connection, COMMENT, row, {"auto_comment": "No response." if name in blank else None})

    def marks(self) -> dict[str, Mark]:
        """All students' marks for the chapter."""
        submitted = SUBMITTED.join(SUBMITTED_NOTEBOOK, SUBMITTED_NOTEBOOK.c.assignment_id == SUBMITTED.c.id)
        mine = (SUBMITTED.c.assignment_id == self.assignment) & (SUBMITTED_NOTEBOOK.c.notebook_id == self.notebook)
        cells = {cell: name for name, cell in (*self.graded.items(), *self.solutions.items())}
        found: dict[str, Mark] = {}
        with self.engine.connect() as connection:
            query = select(SUBMITTED.c.student_id, SUBMITTED.c.timestamp, SUBMITTED_NOTEBOOK.c.late_submission_penalty)
            for student, timestamp, penalty in connection.execute(query.select_from(submitted).where(mine)):
                found[student] = Mark(timestamp=timestamp, penalty=penalty or 0.0)
            grades = submitted.join(GRADE, GRADE.c.notebook_id == SUBMITTED_NOTEBOOK.c.id)
            for row in connection.execute(select(SUBMITTED.c.student_id, GRADE).select_from(grades).where(mine)):
                if name := cells.get(row.cell_id):
                    found[row.student_id].cells[name] = CellMark(
                        row.auto_score, row.manual_score, row.extra_credit, self.max[name], row.needs_manual_grade
                    )
            comments = submitted.join(COMMENT, COMMENT.c.notebook_id == SUBMITTED_NOTEBOOK.c.id)
            for row in connection.execute(select(SUBMITTED.c.student_id, COMMENT).select_from(comments).where(mine)):
                if row.manual_comment and (name := cells.get(row.cell_id)):
                    found[row.student_id].comments[name] = row.manual_comment
        order = list(self.graded)
        for mark in found.values():
            mark.cells = dict(sorted(mark.cells.items(), key=lambda item: order.index(item[0])))
        return dict(sorted(found.items()))

    def export(self, path: Path, students: set[str]) -> int:
        """Write nbgrader's CSV of those of the `students` who have a mark; return how many those are."""
        marks = {student: mark for student, mark in self.marks().items() if student in students}
        with self.engine.connect() as connection:
            people = {row.id: row for row in connection.execute(select(STUDENT))}
            due = connection.execute(select(ASSIGNMENT.c.duedate).where(ASSIGNMENT.c.id == self.assignment)).scalar()
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(COLUMNS)
        for student, mark in marks.items():
            person = people[student]
            who = (student, person.last_name, person.first_name, person.email)
            score = max(0.0, mark.score - mark.penalty)
            lines.writerow([self.chapter, due, mark.timestamp, *who, mark.score, mark.penalty, score, mark.max])
        write_whole(path, text.getvalue())
        return len(marks)

    def _register(self) -> None:
        """Make the chapter's cells known, in one transaction. Raises `ClickException` before it loses marks."""
        cells = [cell for cell in self.master.cells if marks(cell)]
        graded = {marks(cell)["grade_id"]: cell for cell in cells if is_graded(cell)}
        solutions = {marks(cell)["grade_id"]: cell for cell in cells if is_solution(cell)}
        self.max = {name: float(marks(cell)["points"]) for name, cell in graded.items()}
        self.manual = {name: is_solution(cell) for name, cell in graded.items()}
        with self.engine.begin() as connection:
            self.assignment = _get_or_add(
                connection, ASSIGNMENT, {"name": self.chapter}, {"course_id": "default_course"}
            )
            kernel = json.dumps(self.master.metadata.get("kernelspec", {}))
            mine = {"name": self.chapter, "assignment_id": self.assignment}
            self.notebook = _get_or_add(connection, NOTEBOOK, mine, {"kernelspec": kernel})
            self.graded = self._cells(connection, "GradeCell", GRADE_CELL, graded)
            self.solutions = self._cells(connection, "SolutionCell", SOLUTION_CELL, solutions)
            for name, cell in graded.items():
                values = {"max_score": self.max[name], "cell_type": cell.cell_type}
                connection.execute(update(GRADE_CELL).where(GRADE_CELL.c.id == self.graded[name]).values(values))
            known = {marks(cell)["grade_id"] for cell in cells}
            old = SOURCE_CELL.c.notebook_id == self.notebook
            connection.execute(delete(SOURCE_CELL).where(old & SOURCE_CELL.c.name.not_in(known)))
            for cell in cells:
                name = marks(cell)["grade_id"]
                values = {"cell_type": cell.cell_type, "locked": bool(marks(cell).get("locked")), "source": cell.source}
                values["checksum"] = marks(cell).get("checksum")
                key = {"name": name, "notebook_id": self.notebook}
                place = _get_or_add(connection, SOURCE_CELL, key, values)
                connection.execute(update(SOURCE_CELL).where(SOURCE_CELL.c.id == place).values(values))

    def _cells(self, connection: Connection, kind: str, table: Any, wanted: dict[str, NotebookNode]) -> dict[str, str]:
        """The ids of the cells of a kind by name, after the gradebook's were made to be those of the chapter."""
        mine = (CELL.c.notebook_id == self.notebook) & (CELL.c.type == kind)
        known = {row.name: row.id for row in connection.execute(select(CELL).where(mine))}
        for name in known.keys() - wanted.keys():
            self._refuse_if_marked(connection, name, known[name])
            for rows in (GRADE, COMMENT):
                connection.execute(delete(rows).where(rows.c.cell_id == known[name]))
            connection.execute(delete(table).where(table.c.id == known[name]))
            connection.execute(delete(CELL).where(CELL.c.id == known[name]))
        submitted = select(SUBMITTED_NOTEBOOK.c.id).where(SUBMITTED_NOTEBOOK.c.notebook_id == self.notebook)
        notebooks = connection.execute(submitted).scalars().all()
        for name, cell in wanted.items():
            if name in known:
                continue
            base = {"name": name, "notebook_id": self.notebook, "type": kind}
            known[name] = connection.execute(insert(CELL).values(base)).inserted_primary_key[0]
            more = {"max_score": 0.0, "cell_type": cell.cell_type} if table is GRADE_CELL else {}
            connection.execute(insert(table).values({"id": known[name]} | more))
            for notebook in notebooks:
                if table is GRADE_CELL:
                    _add(connection, GRADE, known[name], notebook, needs_manual_grade=True)
                else:
                    _add(connection, COMMENT, known[name], notebook)
        return {name: known[name] for name in wanted}

    def _refuse_if_marked(self, connection: Connection, name: str, cell: str) -> None:
        by_hand = GRADE.c.manual_score.is_not(None) | GRADE.c.extra_credit.is_not(None)
        graded = connection.execute(select(GRADE.c.id).where((GRADE.c.cell_id == cell) & by_hand)).first()
        said = (COMMENT.c.cell_id == cell) & COMMENT.c.manual_comment.is_not(None)
        if graded or connection.execute(select(COMMENT.c.id).where(said)).first():
            raise click.ClickException(
                f"{self.chapter} has no cell {name} any more, and the gradebook holds what a person gave for it. Put "
                "the cell back, or clear those scores and comments in formgrader first; nothing was changed."
            )

    def _submission(self, connection: Connection, student: str, timestamp: datetime | None) -> str:
        """The id of the student's notebook, made with all that belongs to it where it is not there yet."""
        _get_or_add(connection, STUDENT, {"id": student}, {})
        mine = {"assignment_id": self.assignment, "student_id": student}
        submission = _get_or_add(connection, SUBMITTED, mine, {"timestamp": timestamp})
        connection.execute(update(SUBMITTED).where(SUBMITTED.c.id == submission).values(timestamp=timestamp))
        key = {"notebook_id": self.notebook, "assignment_id": submission}
        return _get_or_add(connection, SUBMITTED_NOTEBOOK, key, {"flagged": False})

    def _grade(self, result: Result, name: str, row: dict[str, Any], blank: bool, rewritten: bool) -> dict[str, Any]:
        """The values that a grade gets. What a person gave stays, and waits for a person again if it may not fit."""
        given = row["manual_score"] is not None
        if not self.manual[name]:
            if result.scores[name].points is None:  # its check hands over what can't cross into a sandbox
                return {"auto_score": None, "needs_manual_grade": not given or bool(row["needs_manual_grade"])}
            points = float(result.scores[name].points)
            changed = row["auto_score"] is not None and row["auto_score"] != points
            return {"auto_score": points, "needs_manual_grade": given and (changed or bool(row["needs_manual_grade"]))}
        waits = rewritten or bool(row["needs_manual_grade"]) if given else not blank
        return {"auto_score": 0.0 if blank else None, "needs_manual_grade": waits}

    def _clear(self, connection: Connection, student: str) -> None:
        """A submission that could not be graded keeps no automatic mark of an earlier one."""
        mine = (SUBMITTED.c.assignment_id == self.assignment) & (SUBMITTED.c.student_id == student)
        notebooks = select(SUBMITTED_NOTEBOOK.c.id).join(
            SUBMITTED, SUBMITTED_NOTEBOOK.c.assignment_id == SUBMITTED.c.id
        )
        stale = GRADE.c.notebook_id.in_(notebooks.where(mine))
        connection.execute(update(GRADE).where(stale).values(auto_score=None, needs_manual_grade=True))


def engine(url: str) -> Engine:
    """The database at `url`, with nbgrader's tables in it: made whole or not at all."""
    address = sqlalchemy.make_url(url)
    file = _file(address)
    if file is not None and not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_name(f".{file.name}.{os.getpid()}.part")
        with suppress(FileNotFoundError):
            unfinished.unlink()
        made = sqlalchemy.create_engine(address.set(database=str(unfinished)))
        try:
            _complete(made)
            made.dispose()
            os.link(
                unfinished, file
            )  # unlike a rename this never replaces a gradebook that somebody else made meanwhile
        except FileExistsError:
            pass
        finally:
            made.dispose()
            with suppress(FileNotFoundError):
                unfinished.unlink()
    options = {"connect_args": {"timeout": SECONDS_TO_WAIT}} if file is not None else {}
    opened = sqlalchemy.create_engine(address, **options)
    _complete(opened)
    return opened


def _put(unfinished: Path, file: Path) -> None:
    """As a rename, but never over a gradebook that somebody else, such as formgrader, made meanwhile."""
    try:
        os.link(unfinished, file)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        if not file.exists():
            unfinished.rename(file)


def _complete(opened: Engine) -> None:
    """Make the tables that are missing, also of a gradebook whose making was broken off."""
    head = _version()
    with opened.begin() as connection:
        api.Base.metadata.create_all(bind=connection)
        connection.execute(
            sqlalchemy.text("CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32) NOT NULL)")
        )
        found = connection.execute(sqlalchemy.text("SELECT version_num FROM alembic_version")).scalar()
        if found is None:
            connection.execute(sqlalchemy.text("INSERT INTO alembic_version VALUES (:head)"), {"head": head})
        elif found != head:
            raise click.ClickException(
                "the gradebook is of another version of nbgrader. Copy it, and then run `nbgrader db upgrade`."
            )
        _get_or_add(connection, api.Course.__table__, {"id": "default_course"}, {})


def _version() -> str:
    """The version that nbgrader gives its gradebooks, without starting the program `alembic`."""
    from alembic.script import ScriptDirectory
    from nbgrader.dbutil import ALEMBIC_DIR

    return ScriptDirectory(ALEMBIC_DIR).get_current_head()


def back_up(url: str, folder: Path) -> Path | None:
    """Copy the gradebook as it is into `folder`; nothing if there is none yet or the last copy is the same."""
    address = sqlalchemy.make_url(url)
    file = _file(address)
    stamp = f"{datetime.now():%Y%m%d-%H%M%S-%f}"
    if file is None:
        text = _as_json(sqlalchemy.create_engine(address))
        copies = sorted(folder.glob("gradebook-*.json"))
        if text is None or (copies and copies[-1].read_text(encoding="utf-8") == text):
            return None
        write_whole(folder / f"gradebook-{stamp}.json", text)
        return folder / f"gradebook-{stamp}.json"
    if not file.is_file():
        return None
    folder.mkdir(parents=True, exist_ok=True)
    copy, unfinished = folder / f"gradebook-{stamp}.db", folder / f".gradebook-{stamp}.part"
    try:
        with closing(sqlite3.connect(file, timeout=SECONDS_TO_WAIT)) as source:
            with closing(sqlite3.connect(unfinished)) as target:
                source.backup(target)
        copies = sorted(folder.glob("gradebook-*.db"))
        if copies and copies[-1].read_bytes() == unfinished.read_bytes():
            return None
        unfinished.replace(copy)
    finally:
        with suppress(FileNotFoundError):
            unfinished.unlink()
    return copy


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Keep a second grader out. The lock goes with the process that holds it, however that ends."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # other accounts need not read what is in grades/
    with open(path, "a+", encoding="utf-8") as file:
        if not _locked(file):
            file.seek(0)
            who = file.read(200).strip() or "somebody"
            raise click.ClickException(f"{who} is grading here at the moment; start again when that has finished.")
        file.truncate(0)
        file.write(f"process {os.getpid()} (since {datetime.now():%Y-%m-%d %H:%M:%S})")
        file.flush()
        yield


def _locked(file: Any) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(1_000_000)  # beyond the words, which others may then still read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _file(address: sqlalchemy.URL) -> Path | None:
    return Path(address.database) if address.get_backend_name() == "sqlite" and address.database else None


def _as_json(opened: Engine) -> str | None:
    """All rows of all tables, for databases that are no file."""
    with opened.connect() as connection:
        names = set(sqlalchemy.inspect(connection).get_table_names())
        tables = {
            table.name: [dict(row._mapping) for row in connection.execute(select(table))]
            for table in api.Base.metadata.sorted_tables
            if table.name in names
        }
    opened.dispose()
    for rows in tables.values():
        rows.sort(key=lambda row: str(row.get("id")))
    return json.dumps(tables, default=str, indent=1) if tables else None


def _when(time: str) -> datetime | None:
    try:
        return parse_utc(time) if time else None
    except (ValueError, OverflowError, TypeError):
        return None


def _rows(connection: Connection, table: Any, notebook: str) -> dict[str, dict[str, Any]]:
    found = connection.execute(select(table).where(table.c.notebook_id == notebook))
    return {row.cell_id: dict(row._mapping) for row in found}


def _add(connection: Connection, table: Any, cell: str, notebook: str, **values: Any) -> dict[str, Any]:
    values = {"cell_id": cell, "notebook_id": notebook} | values
    place = connection.execute(insert(table).values(values)).inserted_primary_key[0]
    return dict.fromkeys(table.c.keys()) | values | {"id": place}


def _change(connection: Connection, table: Any, row: dict[str, Any], values: dict[str, Any]) -> None:
    if any(row[name] != value for name, value in values.items()):
        connection.execute(update(table).where(table.c.id == row["id"]).values(values))


def _get_or_add(connection: Connection, table: Any, key: dict[str, Any], more: dict[str, Any]) -> str:
    """The id of the row with these values, which is added if it is not there."""
    same = sqlalchemy.and_(*(table.c[name] == value for name, value in key.items()))
    found = connection.execute(select(table.c.id).where(same)).scalar()
    return found or connection.execute(insert(table).values(key | more)).inserted_primary_key[0]
