"""Gates against leaks: nothing of a solution, a hidden test or a rubric may reach the student's notebook."""

import re

from nbformat import NotebookNode

from classroom.source import Chapter, Problem, has_tag, marks, regions

MARKER = re.compile(r"(BEGIN|END) (SOLUTION|HIDDEN TESTS|MARK SCHEME)")
SHORTEST = 16  # letters without spaces; shorter lines (`return total`) say nothing
COMMON = re.compile(r"(import |from |def |class |for .*:$|else:|try:|with .*:$|@|#|\"\"\"|return \w+$)")


def solution_lines(chapter: Chapter) -> dict[str, str]:
    """The telling lines of all solutions, hidden tests and rubrics -> the grade id that each belongs to.

    White space is squeezed out of them (see `squeezed`), so that a line is found again however it is spaced.
    """
    lines = {}
    for cell in chapter.notebook.cells:
        secret = [
            line for kind in ("SOLUTION", "HIDDEN TESTS") for region in regions(cell.source, kind) for line in region
        ]
        if has_tag(cell, "rubric"):
            secret = cell.source.split("\n")
        for line in secret:
            line = re.sub(r"\s+# .*$", "", line).strip()
            if len(squeezed(line)) >= SHORTEST and not COMMON.match(line):
                lines[squeezed(line)] = marks(cell).get("grade_id", cell.id)
    return lines


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def nothing_left_behind(chapter: Chapter, student: NotebookNode) -> list[Problem]:
    """No marker, no rubric and no output is left in the student's notebook."""
    found = []
    for cell in student.cells:
        marker = MARKER.search(cell.source)
        if marker:
            found.append(chapter.problem(cell, f"`{marker[0]}` is left in the student's notebook"))
        if has_tag(cell, "rubric"):
            found.append(chapter.problem(cell, "the rubric is left in the student's notebook"))
        if cell.get("outputs"):
            found.append(chapter.problem(cell, "an output is left in the student's notebook"))
    return found


def no_line_elsewhere(chapter: Chapter, student: NotebookNode) -> list[Problem]:
    """No telling line of a solution stands in any other cell, be it prose, code or a docstring."""
    found = []
    for cell in student.cells:
        text = squeezed(cell.source)
        for line, grade_id in solution_lines(chapter).items():
            if line in text:
                message = f"`{line}` gives away a line of {grade_id}: write it another way, or leave it out"
                found.append(chapter.problem(cell, message))
    return found
