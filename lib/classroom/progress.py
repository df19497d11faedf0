"""How far a student has come, read from the student's own notebooks: the table on the start page.

A check that passed when its cell was last run counts; nothing is run here, and nothing is written.
"""

from dataclasses import dataclass
from html import escape
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from classroom.source import is_graded, is_solution, marks
from classroom.study import chapters

COURSE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Row:
    """One chapter: its title and minutes, and the points whose checks passed, or why there are none to tell."""

    name: str
    title: str
    minutes: int
    points: int
    earned: int | None
    state: str


class Progress:
    """A table that shows itself in a notebook, and as plain text elsewhere."""

    def __init__(self, rows: list[Row]):
        self.rows = rows

    def __repr__(self) -> str:
        width = max((len(row.title) for row in self.rows), default=0)
        return "\n".join(
            f"{row.name[:2]}  {row.title:<{width}}  {row.minutes:>3} min  {row.state}" for row in self.rows
        )

    def _repr_html_(self) -> str:
        head = "".join(
            f'<th scope="col" style="text-align:left">{name}</th>' for name in ("", "Chapter", "Time", "You")
        )
        body = "".join(
            f'<tr><td>{row.name[:2]}</td><td style="text-align:left">{_linked(row)}</td><td>{row.minutes} min</td>'
            f'<td style="text-align:left">{escape(row.state)}</td></tr>'
            for row in self.rows
        )
        return f'<table class="dataframe"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def progress(work: Path | None = None, course: Path = COURSE) -> Progress:
    """Your progress: each chapter of the course, with the points whose checks passed in your copy.

    work:  the folder of the student's copies; unless told, the one beside the folder in which this runs.
    """
    work = Path.cwd().parent if work is None else work
    return Progress([_row(name, released, work) for name, released in chapters(course).items()])


def _row(name: str, released: Path, work: Path) -> Row:
    meta = nbformat.read(released, as_version=4).metadata.get("chapter", {})
    told = dict(name=name, title=meta.get("title", name), minutes=meta.get("minutes", 0), points=meta.get("points", 0))
    own = work / name / f"{name}.ipynb"
    if not own.is_file():
        return Row(**told, earned=None, state="not started")
    try:
        cells = nbformat.read(own, as_version=4).cells
    except Exception:  # half written, or of another program; the table has to come all the same
        return Row(**told, earned=None, state="your notebook can't be read")
    checks = [cell for cell in cells if is_graded(cell) and not is_solution(cell)]
    earned = sum(marks(cell).get("points", 0) for cell in checks if _passed(cell))
    written = sum(marks(cell).get("points", 0) for cell in cells if is_graded(cell) and is_solution(cell))
    return Row(**told, earned=earned, state=f"{earned} of {told['points'] - written} points")


def _passed(check: NotebookNode) -> bool:
    outputs = check.get("outputs", [])
    return bool(outputs) and all(output.output_type == "stream" and "✓" in output.text for output in outputs)


def _linked(row: Row) -> str:
    """The title, as a link to the student's copy where there is one."""
    if row.earned is None:
        return escape(row.title)
    return f'<a href="../{row.name}/{row.name}.ipynb">{escape(row.title)}</a>'
