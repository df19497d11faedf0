"""The written questions with their sample answers and rubrics, for the instructor's guide."""

from collections.abc import Iterable

from classroom.publish.page import SOLUTION_MARKER
from classroom.source import Chapter, has_tag, is_solution

PLACE = "<!-- rubrics -->"
KEPT_BACK = (
    "The rubrics and a sample answer for each written question are in the instructor's notebooks, in `solutions/`, "
    "and in the book that is built with the solutions shown."
)


def rubrics(chapters: Iterable[Chapter], *, show_solutions: bool) -> str:
    """For each written question its sample answer and its rubric, in Markdown; only where they may be read."""
    if not show_solutions:
        return KEPT_BACK
    return "\n\n".join(part for chapter in chapters for part in _of(chapter))


def _of(chapter: Chapter) -> list[str]:
    cells, parts = chapter.notebook.cells, []
    for place, cell in enumerate(cells):
        if cell.cell_type == "markdown" and is_solution(cell):
            heading = cells[place - 1].source.partition("\n")[0].lstrip("# ")
            rubric = cells[place + 1].source if has_tag(cells[place + 1], "rubric") else ""
            answer = SOLUTION_MARKER.sub("", cell.source).strip("\n").replace("\n", "\n> ")
            parts += [f"### {heading}", f"> {answer}", rubric]
    return parts
