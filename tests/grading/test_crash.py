"""A grader that is killed anywhere, or whose disk is full, loses nothing: the next run ends where the first would have.

The grader runs in a forked process which kills itself with SIGKILL at its Nth step: before it opens a file to write,
puts it on the disk, renames or removes one, makes a folder, says anything to the gradebook, commits, or hands on a
result.
"""

import functools
import os
import resource
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy
from click import ClickException
from tests.grading.handed_in import ANSWERS, CHAPTER, engine, fill_class, hand_in, notebook
from tests.grading.test_gradebook import contents, exported, give, opened

from classroom.grade.class_run import run
from classroom.grade.result import Result

POINTS_TRIED = 48
STEPS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate", "sqlite3.connect"}
AUTOMATIC = ("check-mean", "check-median", "check-robust")

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are killed at a step by forking"),
    pytest.mark.timeout(1200),  # a hundred runs of the grader
]


@pytest.fixture(scope="module")
def before(built_toy, tmp_path_factory) -> Path:
    """A class that was graded and marked by a person; then some handed in again, one a torn file, and one is new."""
    course = Path(shutil.copytree(built_toy, tmp_path_factory.mktemp("class") / "before"))
    fill_class(course)
    run(course, CHAPTER, engine=engine)
    give(course, "ada", 6)
    give(course, "dee", 2, comment="half of it")
    give(course, "cem", 3, "check-median", "")
    hand_in(course, "ben", notebook(course, {"mean": ANSWERS["mean"]}))
    hand_in(course, "dee", notebook(course, ANSWERS))
    hand_in(course, "cem", b'{"cells": [')
    hand_in(course, "eve", notebook(course, ANSWERS))
    return course


@pytest.fixture(scope="module")
def after(before, tmp_path_factory) -> Path:
    """The same class after a run that nobody disturbed."""
    course = Path(shutil.copytree(before, tmp_path_factory.mktemp("class") / "after"))
    assert in_a_process(lambda: run(course, CHAPTER, engine=engine)) == 0
    return course


def in_a_process(work: Callable) -> int:
    """Run `work` in a silent fork of this process: its exit status, 1 for a refusal, or minus the signal it died of."""
    pid = os.fork()
    if pid == 0:
        status = 2
        try:
            sys.stdout = sys.stderr = open(os.devnull, "w")
            work()
            status = 0
        except ClickException:
            status = 1
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def counted(course: Path, kill_at: int = 0) -> Callable[[], int]:
    """Grade, and count the steps on the way; die before step `kill_at`."""

    def work() -> None:
        steps = 0

        def step() -> None:
            nonlocal steps
            steps += 1
            if steps == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

        def audit(event: str, arguments: tuple) -> None:
            writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            if writes or event in STEPS:
                step()

        def slow_fsync(descriptor: int) -> None:
            step()
            fsync(descriptor)

        def results(submissions):
            for result in engine(submissions):
                step()
                yield result

        fsync, os.fsync = os.fsync, slow_fsync
        sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", lambda *_: step())
        sqlalchemy.event.listen(sqlalchemy.Engine, "commit", lambda *_: step())
        sys.addaudithook(audit)
        run(course, CHAPTER, engine=results)
        os.write(report, b"%d" % steps)

    reading, report = os.pipe()
    status = in_a_process(work)
    os.close(report)
    with os.fdopen(reading) as file:
        said = file.read()
    return status, int(said or 0)


def uploads(course: Path) -> dict[str, bytes]:
    return {str(path.relative_to(course)): path.read_bytes() for path in (course / "submitted").rglob("*.ipynb")}


def pages(course: Path) -> dict[str, str]:
    """Feedback, and the notebooks that formgrader shows."""
    found = [path for name in ("feedback", "autograded") for path in (course / name).rglob("*.*")]
    return {str(path.relative_to(course)): path.read_text() for path in found if path.is_file()}


def results(course: Path) -> dict[str, tuple]:
    found = [Result.read(path) for path in (course / "grades" / CHAPTER / "results").iterdir()]
    return {one.student: (one.status, one.scores, one.digest, one.course) for one in found}


held_before_and_after = functools.cache(contents)  # of the two classes that do not change


def nobodys_marks_are_mixed(course: Path, before: Path, after: Path) -> None:
    """In the middle, each student has all of the old marks or all of the new ones; a person's are as they were."""
    if (course / "gradebook.db").is_file():
        with sqlite3.connect(course / "gradebook.db") as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    now, old, new = contents(course), held_before_and_after(before), held_before_and_after(after)
    for student in ("ada", "ben", "cem", "dee", "eve"):
        held = [now.get((student, name)) for name in AUTOMATIC]
        assert held in ([old.get((student, name)) for name in AUTOMATIC], [new[student, name] for name in AUTOMATIC])
    for key, value in old.items():
        assert now[key][1] == value[1], f"what a person gave for {key}"


def nothing_is_lost(course: Path, before: Path, after: Path) -> None:
    assert uploads(course) == uploads(before)
    assert contents(course) == held_before_and_after(after)
    assert results(course) == results(after), "exactly one result for every submission"
    assert pages(course).keys() == pages(after).keys()
    assert {name: page for name, page in pages(course).items() if "feedback" in name} == {
        name: page for name, page in pages(after).items() if "feedback" in name
    }
    assert exported(course) == exported(after)
    left = [path for path in course.rglob(".*") if path.name not in (".lock",)]
    assert not left, "no unfinished file stays"


def test_the_undisturbed_run_is_right(before, after):
    marks = {student: float(line["score"]) for student, line in exported(after).items()}
    assert marks == {"ada": 20, "ben": 7, "dee": 16, "eve": 14}
    assert results(after)["cem"][0] == "not_graded"
    with opened(after) as book:
        assert book.find_grade("check-median", CHAPTER, CHAPTER, "cem").manual_score == 3


def test_killed_at_any_step_nothing_is_lost(before, after, tmp_path):
    course = Path(shutil.copytree(before, tmp_path / "counting"))
    status, steps = counted(course)
    assert status == 0 and steps > 2 * POINTS_TRIED
    nothing_is_lost(course, before, after)
    points = sorted({round(1 + place * (steps - 1) / (POINTS_TRIED - 1)) for place in range(POINTS_TRIED)})
    killed_twice = 0
    for point in points:
        course = Path(shutil.copytree(before, tmp_path / "killed"))
        assert counted(course, point)[0] == -signal.SIGKILL, f"step {point} of {steps}"
        nobodys_marks_are_mixed(course, before, after)
        if point % 3 == 0:  # and once more while it makes up for the first time
            killed_twice += counted(course, max(1, point // 2))[0] == -signal.SIGKILL
        assert in_a_process(lambda course=course: run(course, CHAPTER, engine=engine)) == 0
        nothing_is_lost(course, before, after)
        shutil.rmtree(course)
    print(f"\nkilled at {len(points)} of {steps} steps, {killed_twice} times twice: nothing lost")
    assert len(points) >= 30


def test_the_first_run_of_all_may_be_killed_too(built_toy, tmp_path):
    """When there is no gradebook yet, and half of one must not stay."""
    new = Path(shutil.copytree(built_toy, tmp_path / "new"))
    marks = fill_class(new)
    course = Path(shutil.copytree(new, tmp_path / "counting"))
    status, steps = counted(course)
    assert status == 0
    for point in range(1, steps, max(1, steps // 12)):
        course = Path(shutil.copytree(new, tmp_path / "killed"))
        assert counted(course, point)[0] == -signal.SIGKILL
        assert in_a_process(lambda course=course: run(course, CHAPTER, engine=engine)) == 0
        assert {student: float(line["score"]) for student, line in exported(course).items()} == marks
        shutil.rmtree(course)


@pytest.mark.parametrize("bytes_a_file", [0, 60, 700, 2_500, 9_000, 40_000, 120_000])
def test_a_full_disk_is_said_and_nothing_is_lost(bytes_a_file, before, after, tmp_path):
    """No file may grow beyond a bound, which fails in the same places as a disk on which nothing is left."""
    course = Path(shutil.copytree(before, tmp_path / "course"))

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_a_file, bytes_a_file))
        run(course, CHAPTER, engine=engine)

    assert in_a_process(work) == 1, "refused with the reason, not with a traceback"
    nobodys_marks_are_mixed(course, before, after)
    assert in_a_process(lambda: run(course, CHAPTER, engine=engine)) == 0
    nothing_is_lost(course, before, after)


def test_a_result_file_that_was_damaged_is_graded_again(before, after, tmp_path):
    course = Path(shutil.copytree(after, tmp_path / "course"))
    path = course / "grades" / CHAPTER / "results" / "ada.json"
    for damage in (b"", b"{", path.read_bytes()[:-40], path.read_bytes().replace(b'"points": 7', b'"points": 700')):
        path.write_bytes(damage)
        run(course, CHAPTER, engine=engine)
        nothing_is_lost(course, before, after)
