"""A class full of cheats, bombs and oddities, graded in one go: all marks as deserved, and nobody harmed."""

import hashlib
import json
import os
import shutil
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from tests.grading.hostile import in_file, in_process, in_system, in_values  # noqa: F401 - they fill the list
from tests.grading.hostile.case import CASES, FULL, POINTS, RIGHT, Case

from classroom import anywhere
from classroom.grade import class_run, pool
from classroom.grade.result import Result
from classroom.grade.sandbox import Limits

COURSE = Path(__file__).resolve().parents[3]
CHAPTER = "02_rollout"
LIMITS = Limits(cell_seconds=4, call_seconds=4, total_seconds=60, memory=1200, data=1900, disk=20, processes=32)
CANARY = "canary-7f3a91"
OF_MULTIPROCESSING = (b"resource_tracker", b"multiprocessing.forkserver")  # kept for what this process may start next
TOLD = {"marks and other people's work", "the system", "the connection to the grader", "time"}
EVERY = 8  # so many cases, and then an honest neighbour

pytestmark = [pytest.mark.timeout(3600), pytest.mark.usefixtures("sandboxes")]


@dataclass
class Class:
    """A class that was graded: what was there before, and after."""

    root: Path
    results: dict[int, Result]
    neighbours: list[Result]
    before: dict[str, str]
    after: dict[str, str]
    left_running: list[str]
    reached: list[bytes]
    seconds: float


def course(root: Path) -> None:
    """Chapter 02 cut down to its set-up cell, four answers and their tests."""
    kept = {*POINTS, *(f"check-{name}" for name in POINTS)}
    for folder in ("solutions", "chapters"):
        notebook = nbformat.read(COURSE / folder / CHAPTER / f"{CHAPTER}.ipynb", as_version=4)
        installs = anywhere.place(CHAPTER)
        setup = next(cell for cell in notebook.cells if cell.cell_type == "code" and cell.id != installs)
        notebook.cells = [setup, *(cell for cell in notebook.cells if cell.id in kept)]
        path = root / folder / CHAPTER / f"{CHAPTER}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)
    shutil.copy(COURSE / "solutions" / f"{CHAPTER}.py", root / "solutions")
    shutil.copy(COURSE / "nbgrader_config.py", root)


def hand_in(root: Path, student: str, case: Case, ports: list[int]) -> None:
    """The case's notebook, where nbgrader would look for it."""
    text = (root / "chapters" / CHAPTER / f"{CHAPTER}.ipynb").read_text(encoding="utf-8")
    notebook = json.loads(text)
    known = f"COURSE, LIB, PORTS = {str(root)!r}, {str(COURSE / 'lib')!r}, {ports}\n"
    for cell in notebook["cells"]:
        if cell["id"] in case.answers:
            source = case.answers[cell["id"]]
            cell["source"] = known + source if "COURSE" in source or "PORTS" in source else source
    for number, (after, source) in enumerate(case.extras):
        place = next((n for n, cell in enumerate(notebook["cells"]) if cell["id"] == after), 0)
        own = {"cell_type": "code", "id": f"own-{number}", "metadata": {}, "execution_count": None, "outputs": []}
        notebook["cells"].insert(place + 1, own | {"source": known + source})
    case.change(notebook)
    path = root / "submitted" / student / CHAPTER / f"{CHAPTER}.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(notebook), encoding="utf-8")


def files(root: Path) -> dict[str, str]:
    """A hash of every file that nobody's code may touch."""
    places = [root / "solutions", root / "chapters", root / "submitted", COURSE / "lib"]
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for place in places
        for path in sorted(place.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def processes(mark: str, leaving_out: tuple[bytes, ...] = ()) -> list[str]:
    """The processes whose environment has `mark` in it, or whose command line has: all of a sandbox end with those."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            if any(name in command for name in leaving_out):
                continue
            if mark.encode() in command + (folder / "environ").read_bytes():
                found.append(command.replace(b"\0", b" ").decode("utf-8", "replace")[:200])
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def graded(tmp_path_factory) -> Class:
    root = tmp_path_factory.mktemp("hostile")
    course(root)
    listener, reached = socket.create_server(("127.0.0.1", 0)), []

    def listen() -> None:
        while True:
            try:
                reached.append(listener.accept()[0].recv(100))
            except OSError:
                return

    threading.Thread(target=listen, daemon=True).start()
    honest = Case("a neighbour", "", FULL, RIGHT)
    for number, case in enumerate(CASES):
        hand_in(root, f"{number:03}{case.student}", case, [listener.getsockname()[1]])
        if number % EVERY == 0:
            hand_in(root, f"{number:03}-neighbour", honest, [])
    before, began = files(root), time.monotonic()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLASSROOM_CANARY", CANARY)
        patch.setattr("tempfile.tempdir", None)
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp(CANARY)))
        class_run.run(root, CHAPTER, engine=pool.engine(root, CHAPTER, 2, limits=LIMITS))
    seconds = time.monotonic() - began
    listener.close()
    time.sleep(1)
    found = [Result.read(path) for path in sorted((root / "grades" / CHAPTER / "results").glob("*.json"))]
    neighbours = [result for result in found if result.student.endswith("-neighbour")]
    results = {int(result.student[:3]): result for result in found if result not in neighbours}
    return Class(
        root, results, neighbours, before, files(root), processes(CANARY, OF_MULTIPROCESSING), reached, seconds
    )


def given(result: Result | None) -> float | None:
    if result is None or result.status == "not_graded":
        return None
    return sum(score.points or 0 for score in result.scores.values())


def harm(case: Case, result: Result | None) -> str:
    """What is wrong with how a case came out, or nothing."""
    points = given(result)
    if points is None:
        return f"no mark: {result.notes[:1] if result else 'no result'}"
    if points > case.deserved or (points < case.deserved and not case.at_most):
        return "another mark"
    if case.note and case.note not in " ".join(result.notes):
        return f"no word of {case.note} for the instructor"
    if case.family in TOLD and not result.notes:
        return "nothing for the instructor to look at"
    return ""


def test_there_are_enough_cases():
    assert len(CASES) >= 80
    assert len({case.name for case in CASES}) == len(CASES)


def test_every_mark_is_the_one_deserved(graded, capsys):
    rows = [(case, graded.results.get(number)) for number, case in enumerate(CASES)]
    with capsys.disabled():
        print(f"\n\n{'case':<68} {'deserved':>8} {'given':>6}  harm")
        for family in dict.fromkeys(case.family for case in CASES):
            print(f"  {family}")
            for case, result in rows:
                if case.family == family:
                    points = given(result)
                    most = "≤" if case.at_most else ""
                    shown = "none" if points is None else f"{points:g}"
                    deserved = f"{most}{case.deserved:g}"
                    print(f"{case.name:<68} {deserved:>8} {shown:>6}  {harm(case, result) or '-'}")
        print(f"{len(rows)} cases and {len(graded.neighbours)} honest neighbours in {graded.seconds:.0f} s")
    assert [(case.name, harm(case, result)) for case, result in rows if harm(case, result)] == []


def test_honest_neighbours_get_what_they_deserve(graded):
    assert len(graded.neighbours) == len(CASES[::EVERY])
    assert {(given(result), result.status) for result in graded.neighbours} == {(FULL, "graded")}


def test_files_are_as_before(graded):
    assert graded.after == graded.before
    assert not Path("/tmp/note").exists()


def test_nothing_is_left_running_and_nobody_was_reached(graded):
    assert graded.left_running == []
    assert graded.reached == []


def test_feedback_gives_nothing_away(graded):
    """No file of the course, no environment, no seed, no secret, no markup of a student's."""
    secret = (graded.root / "grades" / "secret").read_text().strip()
    own = {str(graded.root), str(COURSE), CANARY, secret, "### BEGIN HIDDEN TESTS", "BY_HAND", "4711", "leaked-numbers"}
    pages = sorted((graded.root / "feedback").rglob("*.html"))
    assert len(pages) >= len(CASES)
    for page in pages:
        assert page.stat().st_size < 2_000_000, page
        text = page.read_text(encoding="utf-8")
        shown = text.replace("COURSE, LIB, PORTS = ", "")
        for line in shown.splitlines():
            if "PORTS" in line or str(graded.root) in line and "COURSE" in text:
                continue  # the cell that names these places was the student's own
            leaked = [word for word in own if word in line]
            assert not leaked, f"{page.parent.parent.name}: {leaked} in {line[:300]}"
        assert "<script>alert" not in text and "<img src=x" not in text and "<svg onload" not in text


def test_the_grader_is_as_before(graded):
    assert os.environ.get("CLASSROOM_CANARY") is None
