"""A chapter's page in the book: the student's notebook, with the outputs that a right answer gives.

A reader sees each exercise as a student does, what every cell prints and draws once the exercises are solved, and (when
the publisher shows them) each solution in a closed box. Hidden tests and rubrics are for graders, so they are not here.
"""

import html
import re

import nbformat
from nbformat import NotebookNode

from classroom import anywhere
from classroom.source import Chapter, is_graded, is_solution

SOLUTION_MARKER = re.compile(r"^[ \t]*### (?:BEGIN|END) SOLUTION[ \t]*\n?", re.MULTILINE)
HIDDEN_TESTS = "### BEGIN HIDDEN TESTS"
# Printed lines longer than this are sentences, which wrap (see book.css), unless they stand over a table's columns.
LONGEST_ROW = 120
COLUMNS = re.compile(r"\S {2,}\S")


def page(chapter: Chapter, student: NotebookNode, executed: NotebookNode, *, show_solutions: bool) -> NotebookNode:
    """The page of `chapter`, made of the student's notebook and the outputs of the executed source, matched by cell id.

    The chapter has passed the gates: its first cell begins with a title, and what draws a figure has its `alt` text.
    With the solutions hidden, exercises and checks have no outputs: the verdict on a question gives its answer away.
    """
    sources = {cell.id: cell for cell in chapter.notebook.cells}
    outputs = {cell.id: cell.outputs for cell in executed.cells if cell.cell_type == "code"}
    cells = []
    for cell in student.cells:
        if cell.id == anywhere.place(chapter.name):  # it has nothing to say to a reader
            continue
        source = sources[cell.id]
        if cell.cell_type == "code":
            tells = show_solutions or not (is_graded(cell) or is_solution(cell))
            cells.append(_code(cell, source, outputs[cell.id] if tells else []))
        else:
            cells.append(nbformat.v4.new_markdown_cell(cell.source, id=cell.id))
        if show_solutions and SOLUTION_MARKER.search(source.source):
            cells.append(_solution(source))
    _offer_notebook(cells[0], chapter.name)
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": student.metadata.kernelspec})


def _code(cell: NotebookNode, source: NotebookNode, outputs: list[NotebookNode]) -> NotebookNode:
    metadata = {"mystnb": {"image": {"alt": source.metadata.alt}}} if "alt" in source.metadata else {}
    if HIDDEN_TESTS in source.source:
        outputs = [_once(output) for output in outputs]
    if any(is_prose(output.get("text", "")) for output in outputs):
        metadata["tags"] = ["prose"]
    return nbformat.v4.new_code_cell(cell.source, id=cell.id, outputs=outputs, metadata=metadata)


def is_prose(printed: str) -> bool:
    """Whether a printed text has long lines and no columns, which would fall apart if its lines were broken."""
    lines = printed.splitlines()
    return any(len(line) > LONGEST_ROW for line in lines) and not any(COLUMNS.search(line) for line in lines)


def _once(output: NotebookNode) -> NotebookNode:
    """A check's output without the lines that its hidden test printed a second time."""
    if output.output_type != "stream":
        return output
    return NotebookNode(output, text="".join(dict.fromkeys(output.text.splitlines(keepends=True))))


def _solution(source: NotebookNode) -> NotebookNode:
    """The whole cell of an exercise solved, so that it can be copied, or a written answer, in a closed box."""
    answer = SOLUTION_MARKER.sub("", source.source).strip("\n")
    title = "Sample answer"
    if source.cell_type == "code":
        title, answer = "Solution", _fenced("code-block} python", answer)
    return nbformat.v4.new_markdown_cell(_fenced(f"dropdown}} {title}", f"\n{answer}"), id=f"{source.id}-solution")


def _fenced(directive: str, content: str) -> str:
    longest = max((len(run) for run in re.findall(r"`{3,}", content)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{{{directive}\n{content}\n{fence}"


def _offer_notebook(first: NotebookNode, name: str) -> None:
    """Below the chapter's title: a button that downloads the student's notebook, and links to places that run it."""
    title, _, rest = first.source.partition("\n")
    buttons = [f'<a class="download" href="../notebooks/{name}.ipynb" download>Download this chapter’s notebook</a>']
    buttons += [
        f'<a class="download" href="{html.escape(address)}">Open in {place}</a>'
        for place, address in anywhere.launches(name).items()
    ]
    first.source = f"{title}\n\n{' '.join(buttons)}\n\n{rest}"
