"""Every gate refuses what it is for, names the cell and its line, and lets the sound chapter through."""

import copy

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_output

from classroom import gates
from classroom.build import student
from classroom.execute import executed
from classroom.source import Refused, load

# What is done to the sound source: text, its replacement, the cell to be named, words of the message.
SOURCES = {
    "kernel": ("name: python3}", "name: conda}", None, "`kernelspec` must be"),
    "no markers": ("# ### BEGIN SOLUTION\n# The median", "# The median", "written-choice", "stands alone"),
    "wiped whole": (
        "    ### BEGIN SOLUTION\n    total_of_all = sum(numbers)\n    return total_of_all / len(numbers)\n"
        "    ### END SOLUTION",
        "    return None",
        "mean",
        "without markers",
    ),
    "unbalanced": (
        "    return total_of_all / len(numbers)\n    ### END SOLUTION",
        "    pass",
        "mean",
        "has no `### END",
    ),
    "misspelt marker": (
        "    ### BEGIN SOLUTION\n    total",
        "    # Begin solution\n    total",
        "mean",
        "a marker is one of",
    ),
    "crossed markers": ("### END HIDDEN TESTS", "### END SOLUTION", "check-mean", "stands alone"),
    "solution unmarked": ('nbgrader={"grade_id": "mean", "solution": true}', "", "01-averages-003", "not marked"),
    "hidden test in an answer": (
        "    total_of_all = sum(numbers)\n",
        "    ### END SOLUTION\n    ### BEGIN HIDDEN TESTS\n    ### END HIDDEN TESTS\n    ### BEGIN SOLUTION\n",
        "mean",
        "hidden tests stand in cells",
    ),
    "no grade id": ('"grade_id": "median", ', "", "01-averages-006", "small letters, digits and hyphens; found None"),
    "same grade id": ('"grade_id": "median"', '"grade_id": "mean"', "mean", "is used twice"),
    "odd grade id": ('"grade_id": "median"', '"grade_id": "The Median"', "01-averages-006", "found 'The Median'"),
    "graded but not answered": (
        '"grade": true, "solution": true, "points": 6',
        '"grade": true, "points": 6',
        "written-",
        "both",
    ),
    "code marks itself": (
        '"median", "solution": true',
        '"median", "solution": true, "grade": true, "points": 1',
        "median",
        "by itself",
    ),
    "no points": (
        '"grade": true, "points": 4}\njudge',
        '"grade": true}\njudge',
        "check-median",
        "has points, a whole number",
    ),
    "half a point": ('"points": 4}\njudge', '"points": 0.5}\njudge', "check-median", "found 0.5"),
    "points nowhere": (
        '"mean", "solution": true',
        '"mean", "solution": true, "points": 3',
        "mean",
        "only a cell marked",
    ),
    "other total": ("points: 20", "points: 100", None, "the graded cells add up to 20"),
    "other points in the prose": ("*7 points · ●○○", "*5 points · ●○○", "01-averages-002", "the prose says 5 points"),
    "no difficulty": ("*4 points · ●●○ · 5 minutes*", "*4 points · 5 minutes*", "01-averages-005", "should look like"),
    "no minutes": ("*4 points · ●●○ · 5 minutes*", "*4 points · ●●○*", "01-averages-005", "should look like"),
    "no task line": ("*4 points · ●●○ · 5 minutes*", "Think.", "01-averages-005", "the heading needs a line"),
    "task without heading": ("### Exercise 1.2: The median\n", "Exercise 1.2\n", "01-averages-005", "under a heading"),
    "two tasks in a cell": (
        "# Python has `sum` and `len`.",
        "# *4 points · ●●○ · 5 minutes*",
        "01-averages-002",
        "two exercises in one cell",
    ),
    "exercise without a heading": ("*7 points · ●○○ · 5 minutes*", "Think.", "check-mean", "stands under no heading"),
    "no check": (
        '"check-median", "grade": true',
        '"tests-median", "grade": true',
        "median",
        "no graded cell 'check-median'",
    ),
    "objective not tested": ("[check-median]", "[]", None, "no graded cell tests the objective"),
    "objective tested by nothing": ("[check-median]", "[median]", None, "tested by median, which is no graded cell"),
    "magic": ("import statistics\n", "%matplotlib inline\n", "01-averages-001", "`%matplotlib inline` is no Python"),
    "cell magic": ("incomes = [1.0]", "%%time\nincomes = [1.0]", "01-averages-011", "`%%time` is no Python"),
    "shell line": ("import statistics\n", "!pip install x\n", "01-averages-001", "`!pip install x` is no Python"),
    "syntax error": ("incomes = [1.0]", "incomes = = [1.0]", "01-averages-011", "line 1 of the cell"),
    "imports what it teaches": (
        "import statistics\n",
        "from statistics import mean\n",
        "01-averages-001",
        "this chapter teaches",
    ),
    "imports everything": (
        "import statistics\n",
        "from statistics import *\n",
        "01-averages-001",
        "this chapter teaches",
    ),
    "uses what it teaches": (
        "incomes = [1.0]",
        "statistics.mean([1])\nincomes = [1.0]",
        "01-averages-011",
        "`statistics.mean`",
    ),
    "uses it by another name": (
        "import statistics\n",
        "import statistics as s\nm = s.median\n",
        "01-averages-001",
        "`statistics.median`",
    ),
    "graded cell ends in a number": (
        'passed("the median of 7, 2 and 3 is 3")',
        "3 + 1",
        "check-median",
        "`3 + 1`: nbgrader may take a value",
    ),
    "graded cell is empty": (
        'judge(call(median, [7.0, 2.0, 3.0]), 3.0, {"You took the middle of the unsorted list.": 2.0})\n'
        'passed("the median of 7, 2 and 3 is 3")\n',
        "# nothing\n",
        "check-median",
        "gives its points to everybody",
    ),
    "no title": ("# # Averages: one number for many\n", "", "01-averages-000", "begins with the title"),
    "second title": ("# ## Two ways to the middle", "# # Two ways to the middle", "01-averages-002", "a second title"),
    "level jumped": ("# ## Two ways to the middle\n", "", "01-averages-002", "jumps over a level: use `## `"),
    "image without words": (
        "# Nine people earn",
        "# ![](a.png) Nine people earn",
        "01-averages-000",
        "no alternative text",
    ),
    "tag without words": (
        "# Nine people earn",
        '# <img src="a.png"> Nine earn',
        "01-averages-000",
        "no alternative text",
    ),
    "directive": ("# Nine people earn", "# ```{note}\n# Nine\n# ```\n# earn", "01-averages-000", "is a directive"),
    "colon fence": ("# Nine people earn", "# :::{note}\n# Nine\n# :::\n# earn", "01-averages-000", "is a directive"),
    "role": ("Nine people earn", "Nine {cite}`people` earn", "01-averages-000", "is a role"),
    "label": ("# Nine people earn", "# (nine)=\n# Nine people earn", "01-averages-000", "is a label"),
    "footnote": ("Nine people earn", "Nine people[^1] earn", "01-averages-000", "is a footnote"),
    "open hint": ("# <details>", "# <details open>", "01-averages-002", "gives the hint away"),
    "raw hint": ("</summary>\n#\n", "</summary>\n", "01-averages-002", "blank lines come after"),
    "unclosed hint": ("# </details>\n", "", "01-averages-002", "1 `<details>` and 0 `</details>`"),
    "hint without a title": ("# <summary>Hint</summary>\n", "", "01-averages-002", "begins with `<summary>"),
    "leak in the prose": ("Sort the numbers;", "`total_of_all = sum( numbers )`", "01-averages-005", "a line of mean"),
    "leak in code": (
        "incomes = [1.0]",
        "numbers = [1]\ntotal_of_all = sum(numbers)\nincomes = [1.0]",
        "01-averages-011",
        "a line of mean",
    ),
    "leak of a hidden test": (
        "Sort the numbers;",
        "judge(call(mean, [1.0, 4.0, 1024.0]), 343.0)",
        "01-averages-005",
        "a line of check-mean",
    ),
    "leak of a sample answer": (
        "Sort the numbers;",
        "The median, since one fortune leaves it alone and it tells what a person in the middle earns.",
        "01-averages-005",
        "a line of written-choice",
    ),
    "leak of a rubric": (
        "Sort the numbers;",
        "Three points for the median, three for the reason: one person alone must not move it.",
        "01-averages-005",
        "a line of 01-averages-016",
    ),
}


def problems_of(path) -> list[str]:
    chapter = load(path)
    found = [problem for gate in gates.SOURCE for problem in gate(chapter)]
    if not found:
        found = [problem for gate in gates.STUDENT for problem in gate(chapter, student(chapter))]
    return [str(problem) for problem in found]


def test_the_sound_chapter_passes(toy):
    assert problems_of(toy.path) == []
    assert [problem for gate in gates.OUTPUTS for problem in gate(toy, executed(toy))] == []


@pytest.mark.parametrize(("text", "other", "cell", "words"), SOURCES.values(), ids=SOURCES)
def test_a_source_is_refused(text, other, cell, words, toy_text, tmp_path):
    assert text in toy_text
    path = tmp_path / "solutions" / "01_averages.py"
    path.parent.mkdir()
    path.write_text(toy_text.replace(text, other, 1), encoding="utf-8")
    found = problems_of(path)
    place = "solutions/01_averages.py, header: " if cell is None else f", cell {cell}"
    assert [problem for problem in found if place in problem and words in problem], "\n".join(found)


def test_the_line_of_the_source_is_named(toy_text, tmp_path):
    path = tmp_path / "solutions" / "01_averages.py"
    path.parent.mkdir()
    path.write_text(toy_text.replace('passed("the median of 7, 2 and 3 is 3")', "3"), encoding="utf-8")
    line = next(
        n for n, text in enumerate(toy_text.split("\n"), start=1) if '"check-median"' in text and "# %%" in text
    )
    assert problems_of(path)[0].startswith(f"solutions/01_averages.py:{line}, cell check-median: `3`")


def test_what_a_later_chapter_teaches_is_forbidden_too(toy_text, tmp_path):
    path = tmp_path / "solutions" / "01_averages.py"
    path.parent.mkdir()
    path.write_text(toy_text.replace("import statistics\n", "from statistics import variance\n"), encoding="utf-8")
    assert problems_of(path) == []
    later = toy_text.replace("[statistics.mean, statistics.median]", "[statistics.variance]")
    (path.parent / "02_spread.py").write_text(later, encoding="utf-8")
    assert "`statistics.variance` is what a later chapter teaches" in problems_of(path)[0]
    assert problems_of(path.parent / "02_spread.py") == []


def test_a_view_may_be_named_after_what_a_chapter_teaches(toy_text, tmp_path):
    path = tmp_path / "solutions" / "01_averages.py"
    path.parent.mkdir()
    teaching = toy_text.replace("[statistics.mean, statistics.median]", "[glassbox.steering]")
    for used, refused in (("gb.views.steering", 0), ("gb.steering", 1)):
        path.write_text(teaching.replace("import statistics\n", f"import glassbox as gb\nused = {used}\n"), "utf-8")
        found = problems_of(path)
        assert len([problem for problem in found if "is what this chapter teaches" in problem]) == refused, used


@pytest.mark.parametrize(
    ("text", "other", "words"),
    [
        ("# ---\n", "", "begins with a YAML header"),
        ("#   points: 20\n", "", "`chapter: points` in the header must be a int; it is missing"),
        ("points: 20", "points: many", "must be a int; found 'many'"),
        ("# chapter:\n", "# section:\n", "needs a block `chapter:`"),
        ("tested_by: [check-mean]", "by: [check-mean]", "each objective is"),
        ("title: ", "title: [", "is no YAML"),
        ("# %% [markdown]\n# # Averages", "text = 1\n\n# %% [markdown]\n# # Averages", "something stands before"),
    ],
)
def test_what_is_no_source_is_refused(text, other, words, toy_text, tmp_path):
    path = tmp_path / "solutions" / "01_averages.py"
    path.parent.mkdir()
    path.write_text(toy_text.replace(text, other, 1), encoding="utf-8")
    with pytest.raises(Refused, match=r"solutions/01_averages\.py: ") as caught:
        load(path)
    assert words in str(caught.value)


QUOTED, QUOTES, FIGURE = "01-averages-011", "01-averages-012", "01-averages-013"


def printed(text):
    return [new_output("stream", name="stdout", text=text)]


def html(text):
    return [new_output("display_data", {"text/plain": "", "text/html": text})]


def change_output(cell_id, outputs):
    def change(cells):
        cells[cell_id].outputs = outputs

    return change


def change_metadata(cell_id, **metadata):
    def change(cells):
        cells[cell_id].metadata = NotebookNode(metadata)

    return change


OUTPUTS = {
    "figure without words": (change_metadata(FIGURE), FIGURE, "draws a figure"),
    "empty words": (change_metadata(FIGURE, alt=" "), FIGURE, "draws a figure"),
    "words without a figure": (change_output(FIGURE, []), FIGURE, "draws no figure"),
    "silent": (change_output(QUOTED, []), QUOTED, "prints nothing"),
    "table": (
        change_output(QUOTED, [new_output("execute_result", {"text/plain": "10.0 90", "text/html": "<b>"})]),
        QUOTED,
        "shows text/html, text/plain",
    ),
    "address": (
        change_output(QUOTED, printed("10.0 90 <f at 0x7f3a5c1d>")),
        QUOTED,
        "an address in memory, `0x7f3a5c1d`",
    ),
    "time": (change_output(QUOTED, printed("10.0 90 in 0.2 s")), QUOTED, "a duration, `0.2 s`"),
    "date": (change_output(QUOTED, printed("10.0 90 2026-11-21")), QUOTED, "a date"),
    "digits": (change_output(QUOTED, printed("10.0 90 0.12345")), QUOTED, "prints 0.12345: round it"),
    "other number": (change_output(QUOTED, printed("10.0 89")), QUOTES, "quotes 90, which no cell"),
    "nothing quoted": (change_metadata(QUOTES), QUOTED, "no markdown cell is tagged `quotes`"),
    "value": (
        change_output("check-mean", [new_output("execute_result", {"text/plain": "3"})]),
        "check-mean",
        "gives a value",
    ),
    "script without a table": (change_output(FIGURE, html("<script>draw()</script>")), FIGURE, "holds no table"),
    "empty caption": (
        change_output(FIGURE, html("<table><caption> </caption><td>1</table><script>draw()</script>")),
        FIGURE,
        "holds no table",
    ),
    "from elsewhere": (change_output(FIGURE, html('<img src="https://a.org/b.png">')), FIGURE, "another host"),
    "too large": (change_output(FIGURE, html("x" * 300_001)), "01-averages-001", "shows 300 kB of HTML"),
    "leak": (change_output(FIGURE, printed("total_of_all = sum(numbers)")), FIGURE, "a line of mean"),
}


@pytest.mark.parametrize(("change", "cell", "words"), OUTPUTS.values(), ids=OUTPUTS)
def test_an_output_is_refused(change, cell, words, toy):
    notebook = copy.deepcopy(executed(toy))
    change({cell.id: cell for cell in notebook.cells})
    found = [str(problem) for gate in gates.OUTPUTS for problem in gate(toy, notebook)]
    assert [problem for problem in found if f"cell {cell}: " in problem and words in problem], found


def test_leftovers_in_the_students_notebook_are_refused(toy):
    untouched = copy.deepcopy(toy.notebook)
    (left, *_), _ = (gate(toy, untouched) for gate in gates.STUDENT)
    assert "cell mean: `BEGIN SOLUTION` is left in the student's notebook" in str(left)
    assert any("the rubric is left" in str(problem) for problem in gates.STUDENT[0](toy, untouched))
    ran = executed(toy)
    assert any("an output is left" in str(problem) for problem in gates.STUDENT[0](toy, ran))


def test_every_gate_has_spoken(toy, toy_text, tmp_path):
    """The cases above reach every gate there is."""
    path = tmp_path / "solutions" / "01_averages.py"
    path.parent.mkdir()
    spoke = set()
    for text, other, _, _ in SOURCES.values():
        path.write_text(toy_text.replace(text, other, 1), encoding="utf-8")
        chapter = load(path)
        spoke.update(gate for gate in gates.SOURCE if gate(chapter))
        if not any(gate(chapter) for gate in gates.SOURCE):
            spoke.update(gate for gate in gates.STUDENT if gate(chapter, student(chapter)))
    spoke.update(gate for gate in gates.STUDENT if gate(toy, toy.notebook))
    for change, _, _ in OUTPUTS.values():
        notebook = copy.deepcopy(executed(toy))
        change({cell.id: cell for cell in notebook.cells})
        spoke.update(gate for gate in gates.OUTPUTS if gate(toy, notebook))
    assert [gate.__name__ for gate in gates.SOURCE + gates.STUDENT + gates.OUTPUTS if gate not in spoke] == []
