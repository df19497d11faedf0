"""Do jobs in several processes of this machine, each with a sandbox of its own.

A process that ends in the middle of a job (out of memory, killed) or does not come back in time is replaced by a new
one, and the job is tried once more; then its submission has no mark, and no 0 either.
"""

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from pathlib import Path

from classroom.grade.job import Job, make, not_graded, paper
from classroom.grade.result import Result
from classroom.grade.sandbox import START_SECONDS, Limits, SandboxFailed, usable_modes
from classroom.grade.submission import Submission

TRIES = 2
SLACK_SECONDS = 2 * START_SECONDS + 60  # beyond what the submission itself may take
# What judging needs takes seconds to import: it is done once, in a process from which the others are forked.
IMPORTED_ONCE = ["transformers.models.gpt2.modeling_gpt2", "transformers.models.llama.modeling_llama"]
IMPORTED_ONCE += ["glassbox", "classroom.grade.station"]
VARIABLES = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}


def engine(
    root: Path, chapter: str, number: int = 0, unsafe: bool = False, limits: Limits | None = None
) -> Callable[[list[Submission]], Iterator[Result]]:
    """What grades submissions of a chapter on this machine. Raises `SandboxFailed` where it can't protect itself."""
    modes, reasons = usable_modes()
    if not modes and not unsafe:
        raise SandboxFailed("; ".join(reasons))
    on = paper(root, chapter)

    def results(submissions: list[Submission]) -> Iterator[Result]:
        yield from run_all((make(root, submission, on, limits, unsafe) for submission in submissions), number)

    return results


def cores() -> int:
    """How many jobs this machine can do at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Station:
    """A process that does one job after the other."""

    def __init__(self) -> None:
        context = _context()
        ours, theirs = context.Pipe()
        self.line: Connection = ours
        self.job: Job | None = None
        self.deadline = 0.0
        with _environment():
            self.process = context.Process(target=_serve, args=(theirs, dict(os.environ)), daemon=True)
            self.process.start()
        theirs.close()

    def take(self, job: Job) -> None:
        self.job, self.deadline = job, time.monotonic() + job.limits.total_seconds + SLACK_SECONDS
        with contextlib.suppress(OSError):  # a process that is gone is found out by who waits for it
            self.line.send_bytes(job.to_json().encode("ascii"))

    def result(self) -> Result | None:
        """The result that came, None if the process ended instead."""
        try:
            return Result.from_json(self.line.recv_bytes().decode("ascii"))
        except (EOFError, OSError, ValueError):
            return None

    def dismiss(self) -> None:
        """Tell the process that there are no more jobs."""
        with contextlib.suppress(OSError):
            self.line.send_bytes(b"")

    def stop(self) -> None:
        """End the process, at once if it does not do so by itself; its sandbox ends with it."""
        self.dismiss()
        self.process.join(0 if self.job else 10)
        if self.process.is_alive():
            self.process.kill()
            self.process.join(10)
        self.line.close()


def run_all(jobs: Iterable[Job], number: int = 0) -> Iterator[Result]:
    """The result of each job, as they come in, from `number` processes (as many as there are cores, unless told)."""
    waiting = deque((job, 1) for job in jobs)
    number = max(1, min(number or cores(), len(waiting)))
    stations: list[Station] = []
    tries: dict[int, int] = {}
    try:
        while waiting or any(station.job for station in stations):
            while waiting and len(stations) < number:
                stations.append(Station())
            for station in stations:
                if station.job is None and waiting:
                    job, tries[id(station)] = waiting.popleft()
                    station.take(job)
            for station in _ready(stations):
                job, result = station.job, station.result()
                station.job = None
                if result is not None:
                    yield result
                    continue
                stations.remove(station)
                station.stop()
                if tries[id(station)] < TRIES:
                    waiting.append((job, tries[id(station)] + 1))
                else:
                    yield not_graded(job.submission, "The process that judged it ended or did not come back, twice.")
    finally:
        for station in stations:
            station.dismiss()
        for station in stations:
            station.stop()


def _ready(stations: list[Station]) -> list[Station]:
    """The stations that have something to say; those whose time is up are ended, which they then say."""
    busy = {station.line: station for station in stations if station.job}
    left = min(station.deadline for station in busy.values()) - time.monotonic()
    said = wait(list(busy), timeout=max(0.0, left))
    if not said:
        for station in busy.values():
            if station.deadline <= time.monotonic():
                station.process.kill()
    return [busy[line] for line in said]


def _serve(line: Connection, variables: dict[str, str]) -> None:
    """What a station's process does: jobs, until it is told to stop."""
    os.environ.clear()
    os.environ.update(variables)  # it was forked from a process that may have been started under others
    import torch

    from classroom.grade.station import close, run

    torch.set_num_threads(1)
    with contextlib.suppress(EOFError):
        while order := line.recv_bytes():
            line.send_bytes(run(Job.from_json(order.decode("ascii"))).to_json().encode("ascii"))
    close()
    os._exit(0)  # to take down what was imported, piece by piece, takes a second


def _context() -> BaseContext:
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(IMPORTED_ONCE)
    return context


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """The variables that a station starts with; afterwards all are as they were."""
    before = {name: os.environ.get(name) for name in VARIABLES}
    os.environ.update(VARIABLES)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
