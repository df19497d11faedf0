"""How fast is `classroom grade` beside nbgrader as it comes, on the same submissions, and how much memory does it take?

    python -m tests.benchmarks.grading [--students 20] [--jobs 2]

Two classes of a short chapter: a light one, in which the students' cells take next to nothing, and a heavy one, in
which each works for three seconds. A light class five times as large shows what a further submission takes, without
the start. Prints a table; nothing is asserted. It wants the machine for itself. nbgrader runs one process after the
other, as its command does.
"""

import os
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import click
from tests.grading.hostile.case import FULL, RIGHT, Case
from tests.grading.hostile.test_hostile import CHAPTER, course, hand_in

WORK = "import time\nuntil = time.process_time() + {seconds}\nwhile time.process_time() < until: sum(range(10_000))"


@click.command()
@click.option("--students", default=20, show_default=True)
@click.option("--jobs", default=2, show_default=True)
def main(students: int, jobs: int) -> None:
    """Measure both sides."""
    print(f"{students} submissions, {jobs} jobs, {os.cpu_count()} cores\n")
    print(f"{'class':<8}{'':<24}{'seconds':>9}{'each':>8}{'beyond own cells':>18}{'peak memory':>13}")
    for kind, seconds in (("light", 0.0), ("heavy", 3.0)):
        figures = {}
        for name, grade in (("nbgrader", stock), ("classroom grade", ours), ("classroom grade, 1 job", ours)):
            number = 1 if name.endswith("1 job") else jobs
            with tempfile.TemporaryDirectory() as folder:
                root = make_class(Path(folder), students, seconds)
                peak = Peak()
                with peak:
                    took = grade(root, number)
            used = 1 if grade is stock else number
            figures[name] = took
            each = took / students
            beyond = each * used - seconds
            print(f"{kind:<8}{name:<24}{took:>9.1f}{each:>8.2f}{beyond:>18.2f}{peak.bytes / 1e9:>10.2f} GB")
        ratio = figures["nbgrader"] / figures["classroom grade"]
        print(f"{kind:<8}{ratio:.1f} times nbgrader's throughput; the second core makes it "
              f"{figures['classroom grade, 1 job'] / figures['classroom grade']:.2f} times faster")  # fmt: skip
        if not seconds:
            more = 5 * students
            with tempfile.TemporaryDirectory() as folder:
                took = ours(make_class(Path(folder), more, seconds), jobs)
            further = (took - figures["classroom grade"]) / (more - students)
            print(f"{kind:<8}{more} submissions: {took:.1f} s, so each further one takes {further:.2f} s")
        print()


def make_class(root: Path, students: int, seconds: float) -> Path:
    """A course folder with right answers handed in by so many students."""
    course(root)
    extras = (("", WORK.format(seconds=seconds)),) if seconds else ()
    for number in range(students):
        hand_in(root, f"student{number:03}", Case("honest", "", FULL, RIGHT, extras), [])
    return root


def ours(root: Path, jobs: int) -> float:
    """The whole command, with the start of its sandboxes."""
    from classroom.grade import class_run, pool

    began = time.monotonic()
    rows = class_run.run(root, CHAPTER, engine=pool.engine(root, CHAPTER, jobs))
    took = time.monotonic() - began
    assert all(row.score == FULL for row in rows), rows
    return took


def stock(root: Path, jobs: int) -> float:
    """nbgrader's own autograding and feedback, as a course with its settings would run it."""
    from nbgrader.api import Gradebook
    from nbgrader.apps import NbGraderAPI
    from traitlets.config import PyFileConfigLoader

    config = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
    config.CourseDirectory.root = str(root)
    config.CourseDirectory.release_directory = str(root / "released")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grader = NbGraderAPI(config=config)
        assert grader.generate_assignment(CHAPTER)["success"]
        students = sorted(path.name for path in (root / "submitted").iterdir())
        began = time.monotonic()
        for student in students:
            for step in (grader.autograde, grader.generate_feedback):
                outcome = step(CHAPTER, student, force=True)
                assert outcome["success"], outcome.get("log", "")[-2000:]
        took = time.monotonic() - began
    with Gradebook(grader.coursedir.db_url) as gradebook:
        assert all(gradebook.find_submission(CHAPTER, student).score == FULL for student in students)
    return took


class Peak:
    """The most memory that this process and all that come from it held at once, by their own pages."""

    def __enter__(self) -> "Peak":
        self.bytes, self.ended = 0, threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()

    def _watch(self) -> None:
        before = self._used()
        while not self.ended.wait(0.2):
            self.bytes = max(self.bytes, self._used() - before)

    def _used(self) -> int:
        """What is missing from the machine's free memory: shared pages count once."""
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        return -1024 * int(lines["MemAvailable"].split()[0])


if __name__ == "__main__":
    # nbgrader starts `alembic` by name.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    main()
