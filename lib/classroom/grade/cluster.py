"""Do the same jobs on a Dask cluster: wherever its workers are, each with the course installed and bubblewrap.

A worker gets one job at a time as text and gives a result as text. It knows the seeds of that student's inputs and no
secret; the students' code runs in the sandbox that the worker starts, never in the worker. If a worker dies, another
one does its job.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from classroom.grade.job import Job, make, not_graded, paper
from classroom.grade.result import Result
from classroom.grade.station import run
from classroom.grade.submission import Submission

SECONDS_TO_CONNECT = 30
RETRIES = 2  # after an error in the worker; after its death Dask tries again by itself
_one_at_a_time = threading.Lock()  # a process has one sandbox, and a worker may have several threads


def engine(
    root: Path, chapter: str, address: str, unsafe: bool = False
) -> Callable[[list[Submission]], Iterator[Result]]:
    """What grades submissions of a chapter on the cluster whose scheduler is at `address`."""
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise click.ClickException("a cluster needs Dask: pip install distributed") from error
    on, version = paper(root, chapter), course_version()

    def results(submissions: list[Submission]) -> Iterator[Result]:
        try:
            client = Client(address, timeout=SECONDS_TO_CONNECT, set_as_default=False)
        except OSError as error:
            raise click.ClickException(f"no Dask scheduler answers at {address}: {error}") from error
        with client:
            waiting = {}
            for submission in submissions:
                text = make(root, submission, on, unsafe=unsafe).to_json()
                waiting[client.submit(work, text, version, pure=False, retries=RETRIES)] = submission
            for future in as_completed(waiting, loop=client.loop):
                yield _result(future, waiting[future])

    return results


def work(job: str, version: str) -> str:
    """What a worker does. Raises `RuntimeError` if its course is another one than the grader's."""
    if course_version() != version:
        raise RuntimeError("this worker has another version of the course: update it")
    with _one_at_a_time:
        return run(Job.from_json(job)).to_json()


def course_version() -> str:
    """A hash of the code that a mark depends on."""
    lib = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for folder in ("classroom/checks", "classroom/grade", "glassbox", "smallworld"):
        for path in sorted((lib / folder).rglob("*.py")):
            digest.update(str(path.relative_to(lib)).encode() + path.read_bytes())
    return digest.hexdigest()


def _result(future: object, submission: Submission) -> Result:
    try:
        text = future.result()
        result = Result.from_json(text) if isinstance(text, str) else None
    except Exception as error:  # what happens to one job stops no other
        return not_graded(submission, f"The cluster could not do it: {type(error).__name__}: {error}"[:500])
    if result is None or (result.student, result.digest) != (submission.student, submission.digest):
        return not_graded(submission, "The cluster gave the result of something else.")
    return result
