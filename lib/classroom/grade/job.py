"""One submission to be judged, with all that it takes, as plain data: whoever has the course installed can do it.

A job knows the seeds of this student's inputs, and not the secret that they come from.
"""

import ast
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from classroom.grade import secret
from classroom.grade.result import Result
from classroom.grade.sandbox import Limits
from classroom.grade.submission import Submission
from classroom.source import is_graded, is_solution, load, marks


@dataclass(frozen=True)
class Cell:
    """A cell of the instructor's notebook. `released` is what the student got in its place.

    kind: "code" runs; "answer" is the student's; "test" is judged; "written" waits for a person.
    """

    id: str
    kind: str
    is_code: bool
    source: str
    released: str
    points: float = 0


@dataclass(frozen=True)
class Paper:
    """What a chapter's submissions are judged by: its cells, what it teaches, and the imports its tests may need."""

    chapter: str
    cells: tuple[Cell, ...]
    teaches: tuple[str, ...] = ()
    imports: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One submission, the paper it is judged by, and the seed of the student's inputs in each graded cell."""

    paper: Paper
    submission: Submission
    seeds: dict[str, int]
    limits: Limits = Limits()
    unsafe: bool = False

    def to_json(self) -> str:
        return json.dumps(asdict(self) | {"submission": self.submission.to_json()})

    @classmethod
    def from_json(cls, text: str) -> "Job":
        data = json.loads(text)
        paper = data["paper"]
        cells = tuple(Cell(**cell) for cell in paper["cells"])
        return cls(
            Paper(paper["chapter"], cells, tuple(paper["teaches"]), paper["imports"]),
            Submission.from_json(data["submission"]),
            data["seeds"],
            Limits(**data["limits"]),
            data["unsafe"],
        )


def paper(root: Path, chapter: str) -> Paper:
    """The paper of a chapter, from the instructor's notebook, the released one, and the source's header."""
    master = nbformat.read(root / "solutions" / chapter / f"{chapter}.ipynb", as_version=4)
    released = nbformat.read(root / "chapters" / chapter / f"{chapter}.ipynb", as_version=4)
    sources = {_name(cell): cell.source for cell in released.cells}
    cells, imports = [], {}
    for cell in master.cells:
        kind = _kind(cell)
        if kind:
            points = marks(cell).get("points", 0) if is_graded(cell) else 0
            before = sources.get(_name(cell), "")
            cells.append(Cell(_name(cell), kind, cell.cell_type == "code", cell.source, before, points))
        if kind == "code":
            imports |= _imports(cell.source)
    source = root / "solutions" / f"{chapter}.py"
    teaches = load(source).meta["teaches"] if source.is_file() else []
    return Paper(chapter, tuple(cells), tuple(teaches), imports)


def make(root: Path, submission: Submission, on: Paper, limits: Limits | None = None, unsafe: bool = False) -> Job:
    """The job that judges `submission`. Makes the course's secret if there is none yet."""
    key = secret.secret(root)
    tests = [cell.id for cell in on.cells if cell.kind == "test"]
    seeds = {name: secret.seed(key, submission.student, on.chapter, name) for name in tests}
    return Job(on, submission, seeds, limits or Limits(), unsafe)


def not_graded(submission: Submission, why: str) -> Result:
    """The result of a submission that our side could not judge."""
    return Result(submission.student, submission.chapter, submission.digest, "not_graded", notes=(why,))


def _name(cell: Any) -> str:
    return marks(cell).get("grade_id", cell.id)


def _kind(cell: Any) -> str:
    if is_graded(cell):
        return "written" if is_solution(cell) else "test"
    if cell.cell_type != "code":
        return ""
    return "answer" if is_solution(cell) else "code"


def _imports(source: str) -> dict[str, str]:
    """The names that a cell imports, each with its line."""
    found = {}
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return found
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            line = ast.unparse(node)
            found |= {alias.asname or alias.name.split(".")[0]: line for alias in node.names}
    return found
