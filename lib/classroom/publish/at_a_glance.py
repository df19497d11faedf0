"""The cheat sheet: the row of each method, as its chapter's closing table has it, with a link to the chapter."""

from collections.abc import Iterable

from classroom.source import Chapter

COLUMNS = "| method | question | cost | trust it for | trap |"
PLACE = "<!-- a row for each method -->"


def table(chapters: Iterable[Chapter]) -> str:
    """A Markdown table of all methods, in the order of the course."""
    lines = [f"{COLUMNS} chapter |", "| --- | --- | --- | --- | --- | --- |"]
    for chapter in chapters:
        number = chapter.name.partition("_")[0]
        lines += [f"{row} [{number}](chapters/{chapter.name}.ipynb) |" for row in rows(chapter)]
    return "\n".join(lines)


def rows(chapter: Chapter) -> list[str]:
    """The rows of the tables whose columns are those of the cheat sheet."""
    found = []
    for cell in chapter.notebook.cells:
        lines = cell.source.split("\n") if cell.cell_type == "markdown" else []
        for place, line in enumerate(lines):
            if line.strip() == COLUMNS:
                rest = lines[place + 2 :]  # below the head and its rule
                end = next((number for number, row in enumerate(rest) if not row.startswith("|")), len(rest))
                found += rest[:end]
    return found
