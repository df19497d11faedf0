"""`classroom check`: what it prints, what it returns, and what it leaves alone."""

import nbformat
import pytest
from click import ClickException
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrader.validator import Validator

from classroom.build import student
from classroom.check import run
from classroom.gates.outputs import COLOUR

ANSWERS = {
    "mean": "def mean(numbers):\n    return sum(numbers) / len(numbers)",
    "median": "def median(numbers):\n    return numbers[len(numbers) // 2]",
    "robust": 'answer_robust = "a"',
    "written-choice": "The median: one person does not move it.",
}


@pytest.fixture
def notebook(toy):
    """The student's notebook: the mean, the question and the written answer done, the median wrong."""
    made = student(toy)
    for cell in made.cells:
        cell.source = ANSWERS.get(cell.id, cell.source)
    return made


def saved(notebook, tmp_path):
    path = tmp_path / "01_averages.ipynb"
    nbformat.write(notebook, path)
    return path


def test_each_exercise_has_a_line_and_its_message(notebook, tmp_path, capsys):
    path = saved(notebook, tmp_path)
    before = path.read_bytes()
    assert run(path) == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "✓ Exercise 1.1: The mean (7 points)",
        "    the mean of 2, 3 and 7 is 4",
        "✗ Exercise 1.2: The median (4 points)",
        "    You took the middle of the unsorted list.",
        "      expected    received",
        "      3.00        2.00",
        "✓ Question 1.3: Which one moves? (3 points)",
        "    a: the sum grows; the order stays.",
        "… Question 1.4: Choose (6 points)",
        "    waits for a person",
        "10 of 14 points; 6 more wait for a person",
    ]
    assert shown.err == ""
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_nbgraders_validate_shows_the_same_message(notebook, tmp_path):
    """The button in JupyterLab."""
    (failed,) = Validator().validate(str(saved(notebook, tmp_path)))["failed"]
    assert failed["source"].startswith("judge(call(median")
    assert COLOUR.sub("", failed["raw_error"]).startswith("✗ You took the middle of the unsorted list.\n  expected")
    assert "Traceback" not in failed["raw_error"]


def small(*sources):
    """A notebook of graded cells that import nothing, so that a short limit is enough on a slow machine."""
    cells = [new_code_cell(source) for source in sources]
    for number, cell in enumerate(cells):
        cell.metadata.nbgrader = NotebookNode(grade=True, solution=False, grade_id=f"check-{number}", points=2)
    return new_notebook(cells=cells)


def test_all_right_returns_zero(tmp_path, capsys):
    assert run(saved(small("assert 1", "print('fine')"), tmp_path)) == 0
    assert "4 of 4 points" in capsys.readouterr().out


def test_a_loop_without_end_is_stopped_and_named(tmp_path, capsys):
    assert run(saved(small("while True: pass", "assert 1"), tmp_path), seconds=5) == 1
    out = capsys.readouterr().out
    assert "✗ check-0 (2 points)\n    KeyboardInterrupt: \n    cell 'check-0' ran for too long and was stopped" in out
    assert "✓ check-1" in out


def test_an_exception_outside_a_check_is_one_line_and_a_deleted_check_is_missed(notebook, tmp_path, capsys):
    notebook.cells = [cell for cell in notebook.cells if cell.id not in ("check-mean", "robust")]
    assert run(saved(notebook, tmp_path)) == 1
    out = capsys.readouterr().out
    assert "    NameError: name 'answer_robust' is not defined\n" in out
    assert "7 points are missing: checks were deleted." in out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no file"),
        ("no notebook", "is no notebook that can be read"),
        ('{"cells": 3, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "is no notebook that can be read"),
        (
            nbformat.writes(new_notebook(cells=[new_code_cell("1"), new_markdown_cell("# x")])),
            "is no chapter of the course",
        ),
    ],
)
def test_what_is_no_chapter_is_refused(content, words, tmp_path):
    path = tmp_path / "x.ipynb"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ClickException) as caught:
        run(path)
    assert words in caught.value.message


def test_a_kernel_that_dies_is_named(notebook, tmp_path):
    next(cell for cell in notebook.cells if cell.id == "mean").source = "import os\nos._exit(1)"
    with pytest.raises(ClickException) as caught:
        run(saved(notebook, tmp_path))
    assert "the kernel died in cell 'mean'" in caught.value.message
