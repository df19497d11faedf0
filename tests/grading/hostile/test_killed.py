"""The command as an instructor types it, killed with students' code running: nothing is left, and nothing is lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.grading.hostile.case import FULL, RIGHT, Case
from tests.grading.hostile.test_hostile import CHAPTER, COURSE, course, hand_in, processes

from classroom.grade.result import Result

STUDENTS = ("ada", "ben", "cem", "dee", "eve")
MARK = "killed-5b20c4"

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("sandboxes")]


def command(root: Path) -> subprocess.Popen:
    arguments = [sys.executable, "-m", "classroom.cli", "grade", CHAPTER, "--jobs", "2"]
    environment = os.environ | {"CLASSROOM_MARK": MARK}
    return subprocess.Popen(
        arguments, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def waits(until, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if until():
            return True
        time.sleep(0.02)
    return False


def test_killed_while_students_code_runs_it_leaves_no_process_and_goes_on(tmp_path):
    course(tmp_path)
    (tmp_path / "lib").symlink_to(COURSE / "lib")  # by which the command knows a course
    for student in STUDENTS:
        hand_in(tmp_path, student, Case("honest", "", FULL, RIGHT), [])
    place = tmp_path / "grades" / CHAPTER / "results"
    grader = command(tmp_path)
    assert waits(lambda: any(place.glob("*.json")) or grader.poll() is not None, 600), "it came to no result"
    assert grader.poll() is None, grader.communicate()[0]
    running = processes(MARK)
    grader.send_signal(signal.SIGKILL)
    grader.communicate()
    done = {path.name: path.read_bytes() for path in place.glob("[!.]*.json")}
    assert 0 < len(done) < len(STUDENTS) and len(running) >= 3  # it, and what judged and ran two submissions at once
    assert waits(lambda: not processes(MARK), 60), processes(MARK)

    grader = command(tmp_path)
    said, _ = grader.communicate(timeout=600)
    assert grader.returncode == 0, said
    assert f"{len(done)} graded before, and unchanged" in said
    assert {path.stem for path in place.iterdir()} == set(STUDENTS)
    scores = [Result.read(path).scores.values() for path in place.iterdir()]
    assert [sum(score.points for score in one) for one in scores] == [FULL] * len(STUDENTS), said
    assert {name: (place / name).read_bytes() for name in done} == done
