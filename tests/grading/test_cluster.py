"""The same jobs on a Dask cluster: a scheduler and two workers as processes of their own, one of them killed midway."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click import ClickException
from tests.grading.handed_in import ANSWERS, CHAPTER, hand_in, notebook

from classroom.grade import class_run, cluster, secret
from classroom.grade.job import make, paper
from classroom.grade.submission import Submission

distributed = pytest.importorskip("distributed", reason="no Dask here; this would install it: pip install distributed")
pytestmark = [pytest.mark.timeout(1800), pytest.mark.usefixtures("sandboxes")]
PROGRAM = "from distributed.cli.dask_{0} import main; main()"


def start(what: str, *options: str, log: Path) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "5"}
    command = [sys.executable, "-c", PROGRAM.format(what), *options]
    return subprocess.Popen(command, stdout=log.open("w"), stderr=subprocess.STDOUT, env=environment)


@pytest.fixture
def address(tmp_path):
    """A cluster on this machine's loopback: its address and its two workers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = f"tcp://127.0.0.1:{port}"
    scheduler = start("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard", log=tmp_path / "s.log")
    options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1")
    folders = [tmp_path / name for name in ("one", "two")]
    workers = [
        start("worker", place, *options, "--local-directory", str(folder), log=folder.with_suffix(".log"))
        for folder in folders
    ]
    with distributed.Client(place, timeout=120, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=240)
    yield place, workers
    for process in (*workers, scheduler):
        process.terminate()
    for process in (*workers, scheduler):
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def test_every_mark_is_right_although_a_worker_dies_midway(toy_course, address):
    place, workers = address
    expected = {}
    for number in range(8):
        answers = dict(list(ANSWERS.items())[: number % 4])
        hand_in(toy_course, f"s{number}", notebook(toy_course, answers))
        expected[f"s{number}"] = sum((7, 4, 3)[: number % 4])
    by = cluster.engine(toy_course, CHAPTER, place)

    def results(submissions):
        for number, result in enumerate(by(submissions)):
            if number == 1:
                workers[0].send_signal(signal.SIGKILL)
            yield result

    started = time.monotonic()
    rows = {row.student: row for row in class_run.run(toy_course, CHAPTER, engine=results)}
    assert {student: row.score for student, row in rows.items()} == expected
    assert workers[0].wait(30) == -signal.SIGKILL and workers[1].poll() is None
    print(f"8 submissions, one worker killed after two of them: all marks right, {time.monotonic() - started:.0f} s")


def test_a_job_holds_no_secret(toy_course):
    job = make(toy_course, Submission("ada", CHAPTER, ANSWERS), paper(toy_course, CHAPTER)).to_json()
    key = secret.secret(toy_course)
    assert key.hex() not in job and str(toy_course) not in job
    assert '"seeds"' in job


def test_a_worker_with_another_course_refuses_the_job():
    with pytest.raises(RuntimeError, match="another version of the course"):
        cluster.work("{}", "0" * 64)


def test_a_cluster_that_does_not_answer_is_named(toy_course, monkeypatch):
    monkeypatch.setattr(cluster, "SECONDS_TO_CONNECT", 1)
    hand_in(toy_course, "ada", notebook(toy_course))
    with socket.socket() as taken:  # nobody listens there
        taken.bind(("127.0.0.1", 0))
        place = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ClickException, match="no Dask scheduler answers at"):
            class_run.run(toy_course, CHAPTER, engine=cluster.engine(toy_course, CHAPTER, place))
