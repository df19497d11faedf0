"""From one source to the student's and the instructor's notebook, or a refusal that names each cell at fault.

Both notebooks are made anew each time and hold nothing that varies: the same source gives the same bytes.
"""

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import click
import nbformat
from nbconvert.preprocessors import TagRemovePreprocessor
from nbformat import NotebookNode
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearHiddenTests,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    LockCells,
)

from classroom import anywhere, gates
from classroom.execute import execute_all, write
from classroom.execute import executed as run_once
from classroom.gates.outputs import COLOUR
from classroom.source import Chapter, Problem, Refused, chapters, has_tag, load
from classroom.study import checked


def build_all(root: Path, names: tuple[str, ...] = ()) -> None:
    """Build the named chapters, or all, and print what changed. A chapter that any gate refuses is left as it was."""
    paths = {path.stem: path for path in chapters(root)}
    if not paths:
        raise click.ClickException("solutions/ holds no chapter's source.")
    try:
        names = checked(names, paths)
    except ValueError as mistake:
        raise click.ClickException(str(mistake)) from mistake
    found, problems = [], []
    for name in names:
        with _noted(name, problems):
            chapter = load(paths[name])
            _for_student(chapter)  # what can be said without running it is said first
            found.append(chapter)
    execute_all(found)
    for chapter in found:
        notebooks: dict[Path, str] = {}
        with _noted(chapter.name, problems):
            notebooks = build(chapter)
        for path, text in notebooks.items():
            changed = not path.is_file() or path.read_text(encoding="utf-8") != text
            if changed:
                write(path, text)
            click.echo(f"{path.relative_to(root)}  {'written' if changed else 'unchanged'}")
    if problems:
        raise Refused(problems)


@contextmanager
def _noted(name: str, problems: list[Problem]) -> Iterator[None]:
    """A chapter that is refused is named, its problems are kept, and the next one has its turn."""
    try:
        yield
    except Refused as refused:
        click.echo(f"{name}: refused, nothing written")
        problems += refused.problems


def build(chapter: Chapter) -> dict[Path, str]:
    """The text of both notebooks by their paths. Raises `Refused` with every problem that the gates find."""
    for_student = _for_student(chapter)
    ran = run_once(chapter)
    _refuse([problem for gate in gates.OUTPUTS for problem in gate(chapter, ran)])
    file = f"{chapter.name}/{chapter.name}.ipynb"
    return {
        chapter.root / "solutions" / file: to_json(instructor(chapter, ran)),
        chapter.root / "chapters" / file: to_json(for_student),
    }


def _for_student(chapter: Chapter) -> NotebookNode:
    _refuse([problem for gate in gates.SOURCE for problem in gate(chapter)])
    for_student = student(chapter)
    _refuse([problem for gate in gates.STUDENT for problem in gate(chapter, for_student)])
    return for_student


def student(chapter: Chapter) -> NotebookNode:
    """What students get: nbgrader's own steps for an assignment, without the rubrics; and a cell for other places."""
    notebook = copy.deepcopy(chapter.notebook)
    without_rubric = TagRemovePreprocessor(remove_cell_tags={"rubric"})
    steps = (LockCells, ClearSolutions, ClearOutput, CheckCellMetadata, ClearHiddenTests, ComputeChecksums)
    resources: dict = {}
    for step in (without_rubric, *(step() for step in steps)):
        notebook, resources = step.preprocess(notebook, resources)
    anywhere.add(notebook, chapter.name)
    cells = [(cell.id, cell.cell_type, cell.source, cell.metadata) for cell in notebook.cells]
    # By this, `classroom update` knows which copies come from an older version.
    notebook.metadata.chapter.version = sha256(json.dumps(cells, sort_keys=True).encode()).hexdigest()[:12]
    return notebook


def instructor(chapter: Chapter, executed: NotebookNode) -> NotebookNode:
    """The source with its solutions, and with the text that the cells tagged `quoted` printed when they ran."""
    notebook = copy.deepcopy(chapter.notebook)
    for cell, ran in zip(notebook.cells, executed.cells, strict=True):
        if cell.cell_type == "code" and has_tag(cell, "quoted"):
            cell.execution_count = ran.execution_count  # nbval compares no cell that says it never ran
            cell.outputs = [_plain(output) for output in ran.outputs]
    anywhere.add(notebook, chapter.name)
    return notebook


def to_json(notebook: NotebookNode) -> str:
    """The notebook as the text of a file: keys in order, one newline at the end. Raises if it is no valid notebook."""
    nbformat.validate(notebook)
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def _plain(output: NotebookNode) -> NotebookNode:
    output = copy.deepcopy(output)
    if "text" in output:
        output.text = COLOUR.sub("", output.text)
    return output


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise Refused(problems)
