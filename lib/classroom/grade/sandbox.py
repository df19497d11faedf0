"""The sandbox that students' code runs in: bubblewrap around a worker, from which each submission gets a child.

The worker (worker.py) has no network, sees none of the course but what `stage` made, the environment read-only, and
no file of the person who grades. It never runs a student's line itself. Its children are shut off from it, from each
other and from those before and after them by namespaces of their own.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from classroom.grade import stage
from classroom.grade.wire import STUDENT, Gone, Late, Line, WireError

LIB = Path(__file__).resolve().parents[2]
IMPORTS = ("torch", "numpy", "scipy", "pandas", "networkx", "matplotlib.pyplot", "transformers")
IMPORTS += ("transformers.models.gpt2.modeling_gpt2", "transformers.models.llama.modeling_llama", "smallworld")
IMPORTS += ("glassbox", "glassbox.figures", "glassbox.charts", "classroom.calling", "classroom.grade.subjects")
INSTALL = "sudo apt-get install bubblewrap"
NEEDED = ("own namespaces", "own folders", "limits", "no capabilities")
START_SECONDS, OPEN_SECONDS, GRACE_SECONDS = 600, 120, 5  # on a machine that has much else to do


class SandboxFailed(Exception):
    """Our side failed: whoever was to be graded has no mark, and no 0 either."""


class Died(Exception):
    """The student's process ended, broke the connection, or could not be stopped."""

    def __init__(self, words: str, late: bool = False):
        super().__init__(words)
        self.late = late


@dataclass(frozen=True)
class Limits:
    """What one submission may use. Seconds are those on the clock; sizes are in MB."""

    cell_seconds: float = 120
    call_seconds: float = 30
    total_seconds: float = 900
    processor: int = 1200
    memory: int = 6000  # of all processes together, where what copies of one process share counts for each of them
    data: int = 2600  # of one process, with the 500 that the imported libraries hold
    disk: int = 100
    processes: int = 64


@dataclass(frozen=True)
class Protection:
    """One thing that keeps students' code apart from everything else; `reason` says why it is off."""

    name: str
    on: bool
    reason: str = ""
    needed: bool = True  # without it, `classroom grade` refuses to run


@dataclass(frozen=True)
class Mode:
    """A way to use bubblewrap that this machine may allow."""

    name: str
    as_root: bool
    own_proc: bool
    bubblewrap: bool = True


MODES = (
    Mode("as root, with students' code under another user's id", True, True),
    Mode("as an ordinary user", False, True),
    Mode("inside a container that keeps /proc for itself", False, False),
)
UNPROTECTED = Mode("without a sandbox", False, False, bubblewrap=False)  # /proc shows the processes of everybody


class Sandbox:
    """One sandbox for one chapter: `open` gives a fresh child for a submission, one at a time."""

    def __init__(
        self,
        teaches: list[str],
        limits: Limits | None = None,
        unsafe: bool = False,
        imports: tuple[str, ...] = IMPORTS,
    ):
        self.teaches, self.limits, self.unsafe, self.imports = teaches, limits or Limits(), unsafe, imports
        self.mode = UNPROTECTED
        self.protections: list[Protection] = []
        self.process: subprocess.Popen | None = None
        self._folder: tempfile.TemporaryDirectory | None = None
        self._control: Line | None = None
        self._log: Any = None

    def __enter__(self) -> "Sandbox":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the worker. Raises `SandboxFailed` if this machine can't protect itself, unless `unsafe`."""
        modes, reasons = usable_modes()
        if not modes and not self.unsafe:
            raise SandboxFailed("; ".join(reasons))
        for mode in [*modes, *([UNPROTECTED] if self.unsafe else [])]:
            try:
                self._start(mode, "; ".join(reasons))
                return
            except SandboxFailed as failed:
                self.stop()
                reasons.append(f"{mode.name}: {failed}")
        raise SandboxFailed("; ".join(reasons))

    def _start(self, mode: Mode, why_not: str) -> None:
        self.mode = mode
        self._folder = tempfile.TemporaryDirectory(prefix="classroom-sandbox-", ignore_cleanup_errors=True)
        course = Path(self._folder.name)
        course.chmod(0o755)
        stage.build(LIB, course, self.teaches)
        if not mode.bubblewrap:
            (course / "smallworld").rmdir()
            (course / "smallworld").symlink_to(LIB / "smallworld")
        ours, theirs = socket.socketpair()
        self._control = Line(ours, STUDENT)
        self._log = tempfile.TemporaryFile()
        program = ["-c", "from classroom.grade.worker import main; main()", str(theirs.fileno())]
        outside = {"PYTHONPATH": str(course), "PATH": os.environ.get("PATH", os.defpath), "HOME": str(course)}
        command = [*bubblewrap(mode, course), python_inside()] if mode.bubblewrap else [sys.executable]
        try:
            self.process = subprocess.Popen(
                command + program,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env=None if mode.bubblewrap else VARIABLES | outside,
                start_new_session=True,
                cwd="/",
            )
        except OSError as error:
            raise SandboxFailed(f"it could not be started: {error}") from error
        finally:
            theirs.close()
        settings = {
            "imports": list(self.imports),
            "namespaces": mode.bubblewrap,
            "why no namespaces": why_not,
            "as root": mode.as_root,
            "own proc": mode.own_proc,
            "memory": self.limits.memory,
            "limits": asdict(self.limits),
        }
        try:
            self._control.send(settings)
            ready, _ = self._control.receive(START_SECONDS)
            self._look_over(ready, why_not)
        except WireError as error:
            raise SandboxFailed(f"it did not get ready: {error}. {self._last_words()}") from error

    def _look_over(self, ready: dict[str, Any], why_not: str) -> None:
        """Open a child to see which protections hold."""
        self.open().close()
        self.close_child()
        on = self.mode.bubblewrap
        self.protections = [
            Protection("bubblewrap", on, "" if on else why_not or "it was not asked for"),
            Protection("no network", on, "" if on else "needs bubblewrap"),
            Protection("read-only system, nothing of yours in sight", on, "" if on else "needs bubblewrap"),
            Protection(
                "a user's id of its own", self.mode.as_root, "" if self.mode.as_root else _why_own_id(on), False
            ),
            *(Protection(name, not reason, reason, name in NEEDED) for name, reason in self._inner.items()),
            Protection("memory of all processes watched", self.mode.own_proc and on, self._why_not_watched(), False),
        ]
        if ready.get("threads") != 1:
            self.protections.append(Protection("forks of one thread", False, f"{ready.get('threads')} threads", False))

    def _why_not_watched(self) -> str:
        if not self.mode.bubblewrap:
            return "needs bubblewrap"
        return "" if self.mode.own_proc else "/proc belongs to the container: limit the memory of the container"

    def open(self) -> "Child":
        """A fresh child, shut in, for one submission. Raises `SandboxFailed` if there can't be one."""
        if self._control is None or self.process is None or self.process.poll() is not None:
            raise SandboxFailed(f"the sandbox is not running. {self._last_words()}")
        ours, theirs = socket.socketpair()
        line = Line(ours, STUDENT)
        try:
            self._control.send({"do": "open"})
            _hand_over(self._control.end, theirs)
            opened, _ = self._control.receive(OPEN_SECONDS)
            if opened.get("opened") is not True:
                raise SandboxFailed(f"no child: {opened.get('reason')}. {self._last_words()}")
            hello, _ = line.receive(OPEN_SECONDS)
        except WireError as error:
            raise SandboxFailed(f"no child: {error}. {self._last_words()}") from error
        finally:
            theirs.close()
        self._inner = {str(name): str(reason) for name, reason in hello["protections"].items()}
        if self.mode.bubblewrap and any(self._inner.get(name, "missing") for name in NEEDED):
            raise SandboxFailed(f"a child that is not shut in: {self._inner}")
        return Child(self, line)

    def interrupt(self) -> None:
        """Tell the child that its time is up."""
        with contextlib.suppress(WireError):
            self._control.send({"do": "interrupt"})

    def close_child(self) -> str:
        """End the child with all its processes; why the worker had ended it before, if it did."""
        try:
            self._control.send({"do": "close"})
            closed, _ = self._control.receive(OPEN_SECONDS)
        except WireError as error:
            raise SandboxFailed(f"the worker does not answer: {error}. {self._last_words()}") from error
        return str(closed.get("reason", ""))

    def stop(self) -> None:
        """End the worker and everything in it."""
        if self._control is not None:
            self._control.close()
        if self.process is not None:
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        if self._folder is not None:
            self._folder.cleanup()
        if self._log is not None:
            self._log.close()
        self._control = self.process = self._folder = self._log = None

    def _last_words(self) -> str:
        """The end of what the worker wrote, for the instructor."""
        if self._log is None or self._log.closed:
            return ""
        self._log.seek(max(0, os.fstat(self._log.fileno()).st_size - 600))
        return self._log.read().decode("utf-8", "replace").strip().replace("\n", " | ")


class Child:
    """A student's process. What comes from it is data, and may be anything."""

    def __init__(self, sandbox: Sandbox, line: Line):
        self.sandbox, self.line = sandbox, line

    def run(self, source: str, seconds: float) -> tuple[str, str]:
        """Run a cell: what it printed, and the name of its error or "". "Timeout" if it had to be interrupted."""
        answer, _, late = self.ask({"do": "run", "source": source}, seconds=seconds)
        output, failed = answer.get("output"), answer.get("failed")
        if not isinstance(output, str) or not isinstance(failed, str):
            raise Died("it answered with something else than its output")
        return output, "Timeout" if late else failed[:100]

    def copy(self) -> "Child":
        """A copy of the process as it is now, which answers calls."""
        ours, theirs = socket.socketpair()
        line = Line(ours, STUDENT)
        try:
            self.line.send({"do": "copy"})
            _hand_over(self.line.end, theirs)
            theirs.close()
            line.receive(OPEN_SECONDS)
        except Late as error:
            raise Died("it did not answer", late=True) from error
        except (WireError, OSError) as error:
            raise Died("it ended") from error
        finally:
            theirs.close()
        return Child(self.sandbox, line)

    def ask(
        self,
        order: dict[str, Any],
        raw: list[bytes] | None = None,
        *,
        seconds: float,
        questions: Callable[[dict[str, Any], memoryview], tuple[dict[str, Any], list[bytes]]] | None = None,
    ) -> tuple[dict[str, Any], memoryview, bool]:
        """Send an order, reply to the questions that come, and give the answer; the last value says it was late.

        Late means that the process had to be interrupted. Raises `Died` if nothing that can be read comes back.
        """
        deadline, late = time.monotonic() + seconds, False
        try:
            self.line.send(order, raw)
            while True:
                try:
                    message, pieces = self.line.receive(deadline - time.monotonic())
                except Late:
                    if late:
                        raise
                    late, deadline = True, time.monotonic() + GRACE_SECONDS
                    self.sandbox.interrupt()
                    continue
                if "ask" not in message or questions is None:
                    return message, pieces, late
                self.line.send(*questions(message, pieces))
        except Late as error:
            raise Died(f"it did not stop after {seconds:.0f} seconds", late=True) from error
        except Gone as error:
            raise Died("it ended") from error
        except WireError as error:
            raise Died(f"it sent {error}") from error

    def close(self) -> None:
        self.line.close()


VARIABLES = {
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",  # a process with more than one thread can't be forked safely
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "HF_HUB_OFFLINE": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "MPLBACKEND": "agg",
    "MPLCONFIGDIR": "/tmp/matplotlib",
    "NO_COLOR": "1",
}


# The virtual environment has a place of its own in the sandbox: outside it may lie in /tmp, which is another one there.
ENVIRONMENT = "/environment"


def _in_environment() -> bool:
    return sys.prefix != sys.base_prefix


def python_inside() -> str:
    """Where the sandbox sees the Python that runs here."""
    return f"{ENVIRONMENT}/bin/{Path(sys.executable).name}" if _in_environment() else sys.executable


def bubblewrap(mode: Mode, course: Path) -> list[str]:
    """The command that starts a program in the sandbox; the course as the sandbox sees it lies in `course`."""
    arguments = ["bwrap", "--unshare-pid", "--unshare-ipc", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    arguments += ["--die-with-parent", "--new-session", "--clearenv", "--hostname", "sandbox", "--cap-drop", "ALL"]
    if mode.as_root:
        arguments += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_KILL"]
    else:
        arguments += ["--unshare-user", "--uid", "1000", "--gid", "1000"]  # a 0 in there could not be mapped again
    places = [Path("/usr")]
    places += [
        path for path in map(Path, ("/lib", "/lib64", "/bin", "/sbin")) if path.is_dir() and not path.is_symlink()
    ]
    places += [path for path in map(Path, ("/etc/ld.so.cache", "/etc/fonts", "/etc/alternatives", "/etc/localtime"))
               if path.exists()]  # fmt: skip
    for prefix in (sys.base_prefix, os.path.realpath(sys.executable), *([] if _in_environment() else [sys.prefix])):
        path = Path(prefix) if Path(prefix).is_dir() else Path(prefix).parents[1]
        if not any(path.is_relative_to(place) for place in places):
            places.append(path)
    made: set[Path] = {Path("/")}
    for place in places:
        for parent in reversed(place.parents):
            if parent not in made:
                arguments += ["--perms", "0755", "--dir", str(parent)]
                made.add(parent)
        arguments += ["--ro-bind", str(place.resolve()), str(place)]
    for link in map(Path, ("/lib", "/lib64", "/bin", "/sbin")):
        if link.is_symlink():
            arguments += ["--symlink", os.readlink(link), str(link)]
    arguments += ["--perms", "0755", "--dir", "/home", "--perms", "0755", "--dir", "/home/student"]
    arguments += ["--proc", "/proc"] if mode.own_proc else ["--dev-bind", "/proc", "/proc"]
    arguments += ["--dev", "/dev", "--perms", "1777", "--size", "100000000", "--tmpfs", "/tmp"]
    if _in_environment():
        arguments += ["--ro-bind", sys.prefix, ENVIRONMENT]
    arguments += ["--ro-bind", str(course), "/course", "--ro-bind", str(LIB / "smallworld"), "/course/smallworld"]
    arguments += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"]
    inside = {"PYTHONPATH": "/course", "PATH": f"{Path(python_inside()).parent}:/usr/bin:/bin", "HOME": "/home/student"}
    for name, value in (VARIABLES | inside).items():
        arguments += ["--setenv", name, value]
    return [*arguments, "--"]


def usable_modes() -> tuple[list[Mode], list[str]]:
    """The ways to use bubblewrap that work here, the best one first, and why the others don't."""
    if not sys.platform.startswith("linux"):
        return [], ["sandboxes need Linux: grade in a container with Linux in it, as the instructor's guide says"]
    if shutil.which("bwrap") is None:
        return [], [f"bubblewrap is missing; install it with: {INSTALL}"]
    found, reasons = [], []
    with tempfile.TemporaryDirectory() as empty:
        (Path(empty) / "smallworld").mkdir()
        for mode in MODES:
            if mode.as_root and os.geteuid() != 0:
                continue
            command = [*bubblewrap(mode, Path(empty)), python_inside(), "-S", "-c", "print('here')"]
            try:
                tried = subprocess.run(
                    command, capture_output=True, text=True, timeout=OPEN_SECONDS, stdin=subprocess.DEVNULL
                )
                said = (tried.stderr.strip().splitlines() or ["it gave no reason"])[-1]
            except subprocess.TimeoutExpired:
                said = f"it did not answer in {OPEN_SECONDS} seconds"
            else:
                if tried.stdout.strip() == "here":
                    found.append(mode)
                    if mode.own_proc and not mode.as_root:
                        break
                    continue
            reasons.append(f"{mode.name}: {said[:300]}")
    return found, reasons


def protections() -> list[Protection]:
    """What a sandbox on this machine protects, found out by starting one; all off if there can be none."""
    try:
        with Sandbox([], imports=()) as sandbox:
            return sandbox.protections
    except SandboxFailed as failed:
        return [Protection("sandbox", False, str(failed))]


def _why_own_id(protected: bool) -> str:
    return "only root can give it; the sandbox does without" if protected else "needs bubblewrap"


def _hand_over(end: socket.socket, other: socket.socket) -> None:
    deadline = time.monotonic() + OPEN_SECONDS
    while True:
        try:
            end.sendmsg([b"F"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [other.fileno()]))])
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
