"""What is committed in chapters/ and solutions/ is what the sources give, and it is whole and safe to hand out."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from tests.chapters import COURSE, SOURCES

from classroom import check
from classroom.build import build
from classroom.execute import CHAPTERS_AT_A_TIME, execute_all
from classroom.gates.leaks import solution_lines, squeezed
from classroom.gates.marks import tasks_of
from classroom.source import has_tag, is_graded, is_solution, load


@pytest.fixture(scope="session")
def all_run():
    """The chapters run side by side, which takes half as long as one after the other."""
    execute_all(map(load, SOURCES))


@pytest.mark.timeout(1200)
def test_rebuilding_changes_nothing(all_run, chapter):
    """Every gate is passed, too: a chapter that one of them refuses is not built."""
    for path, text in build(chapter).items():
        assert path.read_text(encoding="utf-8") == text, f"{path} is not what its source gives: run `make build`"


def test_there_is_nothing_but_built_notebooks():
    names = [path.stem for path in SOURCES]
    for folder in ("chapters", "solutions"):
        found = {str(path.relative_to(COURSE / folder)) for path in (COURSE / folder).rglob("*")
                 if path.is_file() and not {".ipynb_checkpoints", "__pycache__"} & set(path.parts)}  # fmt: skip
        sources = {"ruff.toml", *(f"{name}.py" for name in names)} if folder == "solutions" else set()
        assert found == {f"{name}/{name}.ipynb" for name in names} | sources


def test_the_anatomy_of_a_chapter(chapter):
    cells = chapter.notebook.cells
    coding = [cell for cell in cells if is_solution(cell) and not is_graded(cell) and "def " in cell.source]
    written = [position for position, cell in enumerate(cells) if is_solution(cell) and cell.cell_type == "markdown"]
    assert len(coding) >= 4, "at least four exercises in code"
    assert written, "at least one written answer"
    assert all(has_tag(cells[position + 1], "rubric") for position in written), "its rubric follows a written answer"
    assert 4 <= len(chapter.meta["objectives"]) <= 6
    assert 60 <= chapter.meta["minutes"] <= 120
    assert sum(task.minutes for task in tasks_of(chapter.notebook)) <= chapter.meta["minutes"]


def test_nothing_of_a_solution_is_in_the_students_file(chapter):
    """Looked for in the bytes of the file, whatever cell, metadata or output they belong to."""
    text = (COURSE / "chapters" / chapter.name / f"{chapter.name}.ipynb").read_text(encoding="utf-8")
    values = re.findall(r'"(?:[^"\\]|\\.)*"', text)
    plain = squeezed("".join(json.loads(value) for value in values))
    lines = solution_lines(chapter)
    assert len(lines) >= 10
    assert [line for line in lines if line in plain] == []
    assert not re.search(r"(BEGIN|END) (SOLUTION|HIDDEN TESTS)", text)


@pytest.fixture(scope="session")
def untouched(chapter):
    """The student's notebook, run as it is handed out."""
    path = COURSE / "chapters" / chapter.name / f"{chapter.name}.ipynb"
    notebook = check.read(path)
    check.execute(notebook, path, seconds=120)
    return notebook


def test_no_stub_passes_its_check(untouched):
    verdicts = check.verdicts(untouched)
    assert len(verdicts) >= 8
    assert [verdict.title for verdict in verdicts if verdict.passes is not False] == []


def test_an_untouched_notebook_says_what_is_to_do(untouched):
    for cell in (cell for cell in untouched.cells if is_graded(cell) and cell.cell_type == "code"):
        (error,) = [output for output in cell.outputs if output.output_type == "error"]
        assert error.ename == "Mistake", f"{cell.id}: {error.ename}: {error.evalue}"
        assert re.search("[Nn]ot (written|answered) yet", error.evalue), f"{cell.id}: {error.evalue}"


def nbval(path: Path) -> subprocess.CompletedProcess:
    options = ["--nbval-lax", "--nbval-cell-timeout=300", "-q", "-p", "no:cacheprovider", "--rootdir", path.parent]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, path],
        cwd=path.parent,
        env=os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        capture_output=True,
        text=True,
    )


def with_other_models(notebook: NotebookNode, folders: dict[str, str]) -> NotebookNode:
    """The notebook, with the cells that run a model of the reader's choice once for each model."""
    cells = []
    for cell in notebook.cells:
        chooses = cell.cell_type == "code" and 'environ.get("GLASSBOX_MODEL")' in cell.source
        for name, folder in folders.items() if chooses else ():
            choice = f"import os\n\nos.environ['GLASSBOX_MODEL'] = {folder!r}\n"
            cells.append(nbformat.v4.new_code_cell(choice + cell.source, id=f"{cell.id}-{name}"[:64]))
        cells += [] if chooses else [cell]
    assert len(cells) > len(notebook.cells), "each chapter can be run on another model"
    return NotebookNode(notebook, cells=cells)


@pytest.mark.timeout(1200)
def test_the_quoted_numbers_are_still_what_the_notebooks_print(tmp_path, other_models, capsys):
    """nbval runs the instructors' notebooks, and compares the cells whose numbers the prose quotes.

    What runs on a model of the reader's choice runs on a GPT-2 and on a Llama.
    """
    copies = [tmp_path / f"{source.stem}.ipynb" for source in SOURCES]
    for path in copies:
        notebook = nbformat.read(COURSE / "solutions" / path.stem / path.name, as_version=4)
        nbformat.write(with_other_models(notebook, other_models), path)
    compared = {path.stem: sum(has_tag(cell, "nbval-check-output") for cell in nbformat.read(path, as_version=4).cells)
                for path in copies}  # fmt: skip
    assert all(compared.values()), f"each chapter quotes numbers: {compared}"
    with ThreadPoolExecutor(CHAPTERS_AT_A_TIME) as pool:
        results = list(pool.map(nbval, copies))
    with capsys.disabled():
        for path, result in zip(copies, results, strict=True):
            said = (result.stdout.strip().splitlines() or ["nothing"])[-1]
            print(f"\nnbval, {path.stem}, {compared[path.stem]} cells compared: {said}", end="")
    assert all(result.returncode == 0 for result in results), "\n".join(
        result.stdout + result.stderr for result in results if result.returncode
    )
