"""Gates on what the chapter's cells gave when they ran.

Numbers that the prose quotes are held to what was printed. A cell tagged `quoted` prints them, rounded so that every
machine prints the same; a markdown cell tagged `quotes` repeats them, and each of its numbers must have been printed.
"""

import re
from collections.abc import Iterator

from nbformat import NotebookNode

from classroom.gates.leaks import solution_lines, squeezed
from classroom.gates.text import words_of
from classroom.source import Chapter, Problem, has_tag, is_graded, is_solution

NUMBER = re.compile(r"(?<![\w.])[-−]?\d+(?:[,\u202f]\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?")
DECIMALS = 4
HTML_OF_A_CHAPTER = 300_000  # bytes, in its interactive views; a page with its figures stays below 1.5 MB
UNREPEATABLE = {
    "an address in memory": re.compile(r"\b0x[0-9a-f]{6,}\b"),
    "a duration": re.compile(r"\b\d+(?:\.\d+)? ?(?:ms|µs|ns|s|seconds|minutes)\b"),
    "a date or a time of day": re.compile(r"\b\d{4}-\d\d-\d\d\b|\b\d\d:\d\d:\d\d\b"),
}
COLOUR = re.compile(r"\x1b\[[\d;]*m")


def figures_have_alternative_text(chapter: Chapter, executed: NotebookNode) -> list[Problem]:
    found = []
    for cell in _code(executed):
        draws = any(key.startswith("image/") for output in cell.outputs for key in output.get("data", {}))
        if draws and not str(cell.metadata.get("alt", "")).strip():
            message = 'draws a figure: say in its header what a reader should see in it, `alt="…"`'
            found.append(chapter.problem(cell, message))
        if not draws and "alt" in cell.metadata:
            found.append(chapter.problem(cell, "has an alternative text and draws no figure"))
    return found


def views_hold_tables_and_are_small(chapter: Chapter, executed: NotebookNode) -> list[Problem]:
    """What a script draws is there as a table, too; nothing is fetched; and the page stays quick to load."""
    found, size = [], 0
    for cell in _code(executed):
        for page in (output.data["text/html"] for output in cell.outputs if "text/html" in output.get("data", {})):
            size += len(page.encode())
            if "<script" in page and not re.search(r"<caption>\s*[^\s<].*<td>", page, re.DOTALL):
                message = "draws with a script and holds no table with a caption: a reader without scripts sees nothing"
                found.append(chapter.problem(cell, message))
            if re.search(r"""\b(?:src|href)\s*=\s*["']?(?:https?:)?//""", page):
                found.append(chapter.problem(cell, "loads something from another host: the book is read offline, too"))
    if size > HTML_OF_A_CHAPTER:
        message = f"shows {size // 1000} kB of HTML; allowed: {HTML_OF_A_CHAPTER // 1000} kB in a chapter"
        found.append(chapter.problem(next(_code(executed)), message))
    return found


def quoted_cells_print_text(chapter: Chapter, executed: NotebookNode) -> list[Problem]:
    """A quoted cell gives text and nothing else, so that the comparison of its output is whole."""
    found = []
    for cell in _quoted(executed):
        kinds = {key for output in cell.outputs for key in output.get("data", {"text/plain": ""})}
        if not cell.outputs:
            found.append(chapter.problem(cell, "is tagged `quoted` and prints nothing"))
        if kinds - {"text/plain"}:
            message = (
                f"is tagged `quoted` and shows {', '.join(sorted(kinds))}: print the numbers in a cell of their own"
            )
            found.append(chapter.problem(cell, message))
    return found


def quoted_numbers_repeat(chapter: Chapter, executed: NotebookNode) -> list[Problem]:
    """What is quoted is the same on the next machine: no addresses, no times, at most four decimals."""
    found = []
    for cell in _quoted(executed):
        text = text_of(cell)
        for what, pattern in UNREPEATABLE.items():
            for match in pattern.findall(text):
                found.append(chapter.problem(cell, f"is tagged `quoted` and prints {what}, `{match}`"))
        for number in NUMBER.findall(text):
            if len(number.partition(".")[2].partition("e")[0]) > DECIMALS:
                message = f"is tagged `quoted` and prints {number}: round it to {DECIMALS} decimals at most"
                found.append(chapter.problem(cell, message))
    return found


def quotes_are_printed(chapter: Chapter, executed: NotebookNode) -> list[Problem]:
    """Every number of a cell tagged `quotes` was printed by some cell tagged `quoted`."""
    printed = {number for cell in _quoted(executed) for number in _numbers(text_of(cell))}
    quoting = [cell for cell in executed.cells if cell.cell_type == "markdown" and has_tag(cell, "quotes")]
    found = []
    for cell in quoting:
        for number in _numbers(re.sub(r"^#+ .*$", "", words_of(cell.source), flags=re.MULTILINE)):
            if number not in printed:
                message = (
                    f"quotes {number}, which no cell tagged `quoted` prints; what is not measured is written in words"
                )
                found.append(chapter.problem(cell, message))
    if printed and not quoting:
        cell = next(_quoted(executed))
        found.append(chapter.problem(cell, "is tagged `quoted`, but no markdown cell is tagged `quotes`"))
    return found


def graded_cells_give_no_value(chapter: Chapter, executed: NotebookNode) -> list[Problem]:
    found = []
    for cell in _code(executed):
        if is_graded(cell) and any(output.output_type == "execute_result" for output in cell.outputs):
            found.append(chapter.problem(cell, "its last line gives a value, which nbgrader may take for the marks"))
    return found


def no_solution_is_printed(chapter: Chapter, executed: NotebookNode) -> list[Problem]:
    found, lines = [], solution_lines(chapter)
    for cell in (cell for cell in _code(executed) if not is_solution(cell)):
        text = squeezed(text_of(cell))
        for line, grade_id in lines.items():
            if line in text:
                found.append(chapter.problem(cell, f"prints `{line}`, a line of {grade_id}"))
    return found


def text_of(cell: NotebookNode) -> str:
    """What a code cell gave, as plain text without colours."""
    pieces = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    return COLOUR.sub("", "\n".join(pieces))


def _code(notebook: NotebookNode) -> Iterator[NotebookNode]:
    return (cell for cell in notebook.cells if cell.cell_type == "code")


def _quoted(notebook: NotebookNode) -> Iterator[NotebookNode]:
    return (cell for cell in _code(notebook) if has_tag(cell, "quoted"))


def _numbers(text: str) -> list[str]:
    return [re.sub("[,\u202f]", "", number).replace("−", "-") for number in NUMBER.findall(text)]
