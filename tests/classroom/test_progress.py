"""The table on the start page: what it reads out of a student's notebooks, whatever state they are in."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from classroom.progress import progress

PASSED = [new_output("stream", text="✓ rows sum to one\n")]
COLOURED = [new_output("stream", text="\x1b[32m✓\x1b[0m rows sum to one\n")]
FAILED = [new_output("error", ename="Mistake", evalue="no", traceback=[])]
HALF = [new_output("stream", text="✓ a case by hand\n"), *FAILED]


def chapter(*outputs):
    """Three checks of 30 points and a written answer of 10, the checks with these outputs."""

    def graded(name, points, make=new_code_cell, **kind):
        marks = {"grade_id": name, "grade": True, "points": points, "solution": False} | kind
        return make("...", metadata={"nbgrader": marks})

    cells = [graded(f"check-{number}", 30) for number in range(3)]
    for cell, shown in zip(cells, outputs, strict=False):
        cell.outputs = shown
    cells.append(graded("written", 10, new_markdown_cell, solution=True))
    meta = {"chapter": {"name": "01_first", "title": "First & last", "points": 100, "minutes": 90}}
    return new_notebook(cells=cells, metadata=meta)


@pytest.fixture
def course(tmp_path):
    for name in ("01_first", "02_second"):
        (tmp_path / "chapters" / name).mkdir(parents=True)
        nbformat.write(chapter(), tmp_path / "chapters" / name / f"{name}.ipynb")
    return tmp_path


def own(course, content):
    path = course / "work" / "01_first" / "01_first.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(content if isinstance(content, str) else nbformat.writes(content), encoding="utf-8")


def states(course) -> list[str]:
    return [row.state for row in progress(course / "work", course).rows]


def test_nothing_is_started(course):
    assert states(course) == ["not started", "not started"]


@pytest.mark.parametrize(
    ("outputs", "state"),
    [
        ([], "0 of 90 points"),
        ([PASSED], "30 of 90 points"),
        ([PASSED, COLOURED, PASSED], "90 of 90 points"),
        ([FAILED, HALF, PASSED], "30 of 90 points"),
        ([[new_output("stream", text="nothing\n")]], "0 of 90 points"),
    ],
)
def test_points_whose_checks_passed_count(course, outputs, state):
    own(course, chapter(*outputs))
    assert states(course) == [state, "not started"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"cells": [{}]}'])
def test_a_notebook_that_can_not_be_read_spoils_nothing(course, content):
    own(course, content)
    assert states(course)[1] == "not started" and states(course)[0] != "not started"


def test_it_shows_itself_as_a_table_and_as_text(course):
    own(course, chapter(PASSED))
    shown = progress(course / "work", course)
    assert repr(shown) == "01  First & last   90 min  30 of 90 points\n02  First & last   90 min  not started"
    page = shown._repr_html_()
    assert '<a href="../01_first/01_first.ipynb">First &amp; last</a>' in page and page.count("<a ") == 1
    assert "30 of 90 points" in page and page.count("<tr>") == 3


def test_where_it_looks_unless_told(course, monkeypatch):
    own(course, chapter(PASSED))
    monkeypatch.chdir(course / "work" / "01_first")
    assert [row.state for row in progress(course=course).rows] == ["30 of 90 points", "not started"]
