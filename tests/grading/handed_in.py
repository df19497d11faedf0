"""What students of the toy chapter hand in: notebooks as JupyterLab saves them, and files as learning platforms do."""

import copy
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHAPTER = "01_averages"
ANSWERS = {
    "mean": "def mean(numbers):\n    return sum(numbers) / len(numbers)",
    "median": "def median(numbers):\n    return sorted(numbers)[len(numbers) // 2]",
    "robust": 'answer_robust = "a"',
    "written-choice": "The median: one person does not move it.",
}


def notebook(
    course: Path, answers: dict[str, str] = ANSWERS, change: Callable[[list], Any] = lambda cells: None
) -> dict:
    """The released chapter with these answers in it; `change` may do what it likes to the list of cells."""
    document = json.loads((course / "chapters" / CHAPTER / f"{CHAPTER}.ipynb").read_text(encoding="utf-8"))
    for cell in document["cells"]:
        if cell["id"] in answers:
            cell["source"] = answers[cell["id"]]
    change(document["cells"])
    return document


def as_bytes(document: Any) -> bytes:
    return json.dumps(document).encode()


def hand_in(course: Path, student: str, document: Any, folder: str = "submitted") -> Path:
    """Put a notebook (or the bytes of some file) where nbgrader would look for it."""
    path = course / folder / student / CHAPTER / f"{CHAPTER}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(document if isinstance(document, bytes) else as_bytes(document))
    return path


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def cell(source: str, kind: str = "code", **more: Any) -> dict:
    """A cell of the student's own."""
    extra = {"outputs": [], "execution_count": None} if kind == "code" else {}
    return {"cell_type": kind, "metadata": {}, "source": source} | extra | copy.deepcopy(more)


def find(cells: list[dict], name: str) -> dict:
    return next(cell for cell in cells if cell.get("id") == name)
