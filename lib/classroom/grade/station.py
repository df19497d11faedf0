"""Do jobs in a sandbox of this process, which stays warm for the next job of the same chapter."""

import atexit
from typing import Any

from classroom.grade.job import Job, not_graded
from classroom.grade.judge import judge
from classroom.grade.result import Result
from classroom.grade.sandbox import Sandbox, SandboxFailed

_open: dict[Any, Sandbox] = {}


def run(job: Job) -> Result:
    """Do a job in this process's sandbox. A sandbox that fails is tried once more; then there is no mark, and no 0."""
    failed = None
    for _ in range(2):
        try:
            return judge(job, _sandbox(job))
        except SandboxFailed as error:
            failed = error
            close()
    return not_graded(job.submission, f"The sandbox failed: {failed}")


def _sandbox(job: Job) -> Sandbox:
    """The sandbox of this process for such jobs; one for other jobs is closed."""
    wanted = (job.paper.teaches, job.limits, job.unsafe)
    if wanted not in _open:
        close()
        sandbox = Sandbox(list(job.paper.teaches), job.limits, job.unsafe)
        sandbox.start()
        _open[wanted] = sandbox
    return _open[wanted]


@atexit.register
def close() -> None:
    """End this process's sandbox."""
    while _open:
        _open.popitem()[1].stop()
