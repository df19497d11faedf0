"""`classroom check`: run a student's notebook outside JupyterLab and say which of its checks pass.

The notebook is read once and run as a copy in an empty folder: nothing of it changes on disk.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import click
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from nbgrader.utils import compute_checksum

from classroom.execute import KERNEL_ARGUMENTS, environment
from classroom.gates.marks import tasks_of
from classroom.gates.outputs import COLOUR
from classroom.source import is_graded, is_solution, marks

SECONDS_A_CELL = 120


@dataclass(frozen=True)
class Verdict:
    """One graded cell: whether it passes, what it says, and its points. `passes` is None where a person decides."""

    title: str
    points: int
    passes: bool | None
    message: str


def run(path: Path, seconds: int = SECONDS_A_CELL) -> int:
    """Print each check of the notebook at `path`. Returns 0 if all of them pass, 1 if not; raises on unusable files."""
    notebook = read(path)
    execute(notebook, path, seconds)
    found = verdicts(notebook)
    for verdict in found:
        sign = {True: "✓", False: "✗", None: "…"}[verdict.passes]
        click.echo(f"{sign} {verdict.title} ({verdict.points} points)")
        for line in verdict.message.splitlines():
            click.echo(f"    {line}")
    click.echo(_summary(found, notebook.metadata.get("chapter", {}).get("points")))
    return 0 if all(verdict.passes is not False for verdict in found) else 1


def read(path: Path) -> NotebookNode:
    """A chapter's notebook. Raises a `ClickException` that says why a file is none."""
    if not path.is_file():
        raise click.ClickException(
            f"there is no file {path}; a chapter is, for instance, work/02_rollout/02_rollout.ipynb."
        )
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except Exception as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise click.ClickException(f"{path} is no notebook that can be read: {reason}") from error
    if not any(is_graded(cell) for cell in notebook.cells):
        raise click.ClickException(f"{path} is no chapter of the course: it has no cell that is marked.")
    return notebook


def execute(notebook: NotebookNode, path: Path, seconds: int) -> None:
    """Run all cells, whatever fails. Raises a `ClickException` if the kernel dies."""
    started: list[NotebookNode] = []
    with tempfile.TemporaryDirectory() as empty:
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            extra_arguments=KERNEL_ARGUMENTS,
            allow_errors=True,
            timeout=seconds,
            interrupt_on_timeout=True,
            resources={"metadata": {"path": empty}},
            on_cell_start=lambda cell, cell_index: started.append(cell),
        )
        try:
            client.execute(env=environment(empty))
        except DeadKernelError as error:
            name = _place(started[-1], notebook)
            raise click.ClickException(f"{path}: the kernel died in {name}. Did it run out of memory?") from error


def verdicts(notebook: NotebookNode) -> list[Verdict]:
    """What each graded cell of an executed notebook says."""
    titles = {cell.id: task.title for task in tasks_of(notebook) for cell in task.cells}
    stopped = [cell for cell in notebook.cells if "KeyboardInterrupt" in _errors(cell)]
    found = []
    for cell in filter(is_graded, notebook.cells):
        title, points = titles.get(cell.id) or marks(cell)["grade_id"], marks(cell)["points"]
        if is_solution(cell):
            empty = marks(cell).get("checksum") == compute_checksum(cell)
            message = "not answered yet" if empty else "waits for a person"
            found.append(Verdict(title, points, False if empty else None, message))
            continue
        message = _text(cell)
        if stopped and _errors(cell):
            message += f"\n{_place(stopped[0], notebook)} ran for too long and was stopped."
        found.append(Verdict(title, points, not _errors(cell), message))
    return found


def _errors(cell: NotebookNode) -> list[str]:
    """The names of what nbgrader counts as an error in a graded cell."""
    outputs = cell.get("outputs", [])
    names = [output.ename for output in outputs if output.output_type == "error"]
    return names + ["stderr" for output in outputs if output.get("name") == "stderr"]


def _text(cell: NotebookNode) -> str:
    """A Mistake's message, another error in one line, or what was printed; without the signs that the verdict has."""
    lines = []
    for output in cell.outputs:
        if output.output_type == "error":
            known = output.ename == "Mistake"
            lines.append("\n".join(output.traceback) if known else f"{output.ename}: {output.evalue}")
        else:
            lines.append(output.get("text", ""))
    text = COLOUR.sub("", "\n".join(line.rstrip("\n") for line in lines))
    return "\n".join(line.removeprefix("✓ ").removeprefix("✗ ") for line in text.splitlines())


def _place(cell: NotebookNode, notebook: NotebookNode) -> str:
    name = marks(cell).get("grade_id")
    first = cell.source.strip().splitlines()[0][:60] if cell.source.strip() else ""
    return f"cell {name!r}" if name else f"cell {notebook.cells.index(cell) + 1} (`{first}`)"


def _summary(found: list[Verdict], total: int | None) -> str:
    got = sum(verdict.points for verdict in found if verdict.passes)
    automatic = sum(verdict.points for verdict in found if verdict.passes is not None)
    waiting = sum(verdict.points for verdict in found if verdict.passes is None)
    lines = [f"{got} of {automatic} points"]
    if waiting:
        lines[0] += f"; {waiting} more wait for a person"
    missing = (total or 0) - automatic - waiting
    if missing > 0:
        lines.append(f"{missing} points are missing: checks were deleted. Take a fresh copy of the chapter.")
    return "\n".join(lines)
