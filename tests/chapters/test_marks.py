"""Each chapter is graded as a class would hand it in: all right, untouched, and half done."""

import itertools
import shutil

import nbformat
import pytest
from tests.chapters import COURSE

from classroom.grade.class_run import grade
from classroom.source import is_graded, is_solution, marks

pytestmark = [pytest.mark.timeout(1200), pytest.mark.usefixtures("sandboxes")]


def half(points: list[int]) -> tuple[int, ...]:
    """The first exercises, as early as can be, whose points are half of all or as near as these come."""
    every = (chosen for size in range(len(points) + 1) for chosen in itertools.combinations(range(len(points)), size))
    return min(every, key=lambda chosen: (abs(2 * sum(points[i] for i in chosen) - sum(points)), chosen))


@pytest.fixture(scope="module")
def graded(chapter, tmp_path_factory):
    root = tmp_path_factory.mktemp("class")
    for folder in ("solutions", "chapters"):
        shutil.copytree(COURSE / folder / chapter.name, root / folder / chapter.name)
    shutil.copy(COURSE / "nbgrader_config.py", root)
    solutions = {cell.id: cell.source for cell in chapter.notebook.cells if is_solution(cell)}
    points = {cell.id: marks(cell)["points"] for cell in chapter.notebook.cells if is_graded(cell)}
    coded = [name for name in solutions if name not in points]
    first_half = [coded[i] for i in half([points[f"check-{name}"] for name in coded])]
    handed_in = {"all": list(solutions), "none": [], "half": first_half}
    for student, answered in handed_in.items():
        notebook = nbformat.read(root / "chapters" / chapter.name / f"{chapter.name}.ipynb", as_version=4)
        if student == "half":  # without the course's own cells: students delete cells, too
            notebook.cells = [cell for cell in notebook.cells if marks(cell)]
        for cell in notebook.cells:
            if cell.id in answered:
                cell.source = solutions[cell.id]
        path = root / "submitted" / student / chapter.name / f"{chapter.name}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)
    rows = {row.student: row for row in grade(root, chapter.name)}
    return rows, {
        "automatic": sum(points[f"check-{name}"] for name in coded),
        "half": sum(points[f"check-{name}"] for name in first_half),
        "total": sum(points.values()),
    }


def test_right_answers_get_full_marks(graded, chapter):
    rows, points = graded
    assert rows["all"].score == points["automatic"], rows["all"]
    assert rows["all"].max_score == points["total"] == chapter.meta["points"]
    written = [cell.id for cell in chapter.notebook.cells if is_graded(cell) and is_solution(cell)]
    assert list(rows["all"].waiting) == written, "what is written waits for a person"


def test_an_untouched_notebook_gets_nothing(graded):
    rows, _ = graded
    assert (rows["none"].score, rows["none"].waiting) == (0, ())


def test_half_done_gets_half(graded):
    rows, points = graded
    assert rows["half"].score == points["half"]
    assert abs(points["half"] - points["automatic"] / 2) <= 2, "half, as near as the points of the exercises come"
