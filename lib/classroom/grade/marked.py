"""The notebook that formgrader shows: the chapter with a student's answers, their outputs, and what each check said.

Formgrader shows a markdown cell's HTML as it is, in the browser of a person who is logged in as the instructor. So the
tags in a student's prose are written such that they are read and not obeyed.
"""

import copy
import json
import re
from pathlib import Path
from typing import Any

from nbconvert.preprocessors import TagRemovePreprocessor
from nbformat import NotebookNode
from nbgrader.preprocessors import ClearOutput, ClearSolutions, ComputeChecksums, LockCells

from classroom.grade.result import Result, Score
from classroom.grade.submission import Submission
from classroom.source import is_graded, is_solution, marks

GAP = "\u200b"  # takes no room, and ends a word
# Browsers read over blanks in these words, and Markdown over backslashes.
PROGRAM = re.compile("|".join(r"[\s\\]*".join(f"{word}:") for word in ("javascript", "vbscript", "data")), re.I)


def without_solutions(master: NotebookNode) -> NotebookNode:
    """The instructor's notebook as nbgrader keeps it in the gradebook: hidden tests in, solutions and rubrics out."""
    notebook, resources = copy.deepcopy(master), {}
    steps = (LockCells, ClearSolutions, ClearOutput, ComputeChecksums)
    for step in (TagRemovePreprocessor(remove_cell_tags={"rubric"}), *(step() for step in steps)):
        notebook, resources = step.preprocess(notebook, resources)
    return notebook


def marked(chapter: NotebookNode, submission: Submission, result: Result) -> str:
    """The text of the notebook for formgrader; `chapter` is without solutions."""
    extras: dict[str, list[dict[str, Any]]] = {}
    for number, extra in enumerate(submission.extras):
        outputs = _outputs(result.outputs.get(f"extra-{number}", ""), None)
        own = {"cell_type": "code", "execution_count": None, "id": f"extra-{number}", "metadata": {}}
        extras.setdefault(extra.after, []).append(own | {"outputs": outputs, "source": extra.source})
    cells = extras.get("", [])
    for released in chapter.cells:
        cell, grade_id = dict(released), marks(released).get("grade_id")
        if is_solution(released) and grade_id in submission.answers:
            answer = submission.answers[grade_id]
            cell["source"] = answer if cell["cell_type"] == "code" else harmless(answer)
        if cell["cell_type"] == "code":
            score = result.scores.get(grade_id) if is_graded(released) else None
            cell["outputs"] = _outputs(result.outputs.get(cell["id"], ""), score)
        cells += [cell, *extras.get(cell["id"], [])]
    return json.dumps(dict(chapter) | {"cells": cells}, indent=1, sort_keys=True) + "\n"


def answers_in(path: Path) -> dict[str, str]:
    """The answers in a notebook that `marked` made, as they stand there; none if there is no such notebook."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        solutions = [cell for cell in cells if cell["metadata"].get("nbgrader", {}).get("solution")]
        return {cell["metadata"]["nbgrader"]["grade_id"]: "".join(cell["source"]) for cell in solutions}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def harmless(prose: str) -> str:
    """Markdown that reads the same, in which HTML is text, no link runs a program, and no picture is fetched."""
    prose = re.sub(r"&(?=[#A-Za-z])", f"&{GAP}", prose)  # or a word could be spelled as only a browser reads it
    prose = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", prose)
    prose = re.sub(r"!(?=\[)", f"!{GAP}", prose)
    return PROGRAM.sub(lambda found: found[0][:-1] + GAP + ":", prose)


def _outputs(text: str, score: Score | None) -> list[dict[str, Any]]:
    texts = [text.rstrip("\n") + "\n"] if text.strip() else []
    if score is not None and score.message:
        texts.append(f"{score.points or 0:g} of {score.max:g} points\n{score.message}\n")
    return [{"output_type": "stream", "name": "stdout", "text": text} for text in texts]
