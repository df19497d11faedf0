"""What runs inside the sandbox: it imports everything once, and forks a child for each submission.

The worker itself never runs a line of a student's. Each child moves into namespaces of its own and talks to the grader
over a connection of its own, which the grader hands over; the worker only watches over its memory and its end. In a
child, an `init` with process id 1 keeps house, and the student's cells run in its child. For each graded cell that
process is copied once more: the copy answers the grader's calls, and what it is asked for never reaches a process
whose output anybody reads.
"""

import array
import contextlib
import functools
import gc
import io
import os
import select
import signal
import socket
import sys
import time
from typing import Any

from classroom.grade import confine

HOME = "/home/student"
OUTPUT = 20_000  # characters that are kept of a cell's output
EXIT_NOT_CONFINED = 70
RELEASE_SECONDS = 0.25  # until the memory of a process that was killed is free again


def main() -> None:
    """Serve the grader over the connection whose number is the first argument."""
    from classroom.grade.wire import Gone, Line

    control = Line(socket.socket(fileno=int(sys.argv[1])))
    settings, _ = control.receive(60)
    shell = _prepare(settings["imports"])
    threads = len(os.listdir("/proc/self/task"))
    control.send({"ready": True, "threads": threads})
    worker = Worker(control, shell, settings)
    with contextlib.suppress(Gone):
        worker.serve()
    worker.end()
    os._exit(0)  # nothing is left to be tidied up, and taking libraries down takes a second


def _prepare(imports: list[str]) -> Any:
    """Import what chapters use, once, and make the shell that cells run in."""
    import importlib

    import torch

    torch.set_num_threads(1)
    for name in imports:
        importlib.import_module(name)
    with contextlib.suppress(ImportError):
        import matplotlib.font_manager

        matplotlib.font_manager.fontManager.findfont("DejaVu Sans")
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    settings = Config()
    settings.HistoryManager.enabled = False
    settings.InteractiveShell.colors = "nocolor"
    settings.InteractiveShell.xmode = "Plain"
    settings.InteractiveShell.cache_size = 0
    shell = InteractiveShell.instance(config=settings)
    shell.display_formatter.active_types = ["text/plain"]
    shell.run_cell("import warnings")  # whatever a first cell needs is loaded once
    torch.nn.Linear(2, 2)(torch.ones(1, 2)).sum().backward()
    gc.collect()
    gc.freeze()
    return shell


class Worker:
    """The process that forks: it reads the grader's orders, and looks after the child that is there."""

    def __init__(self, control: Any, shell: Any, settings: dict[str, Any]):
        self.control, self.shell, self.settings = control, shell, settings
        self.middle = self.init = 0
        self.baseline = _own_memory(os.getpid())
        self.reason, self.ended_at = "", 0.0

    def serve(self) -> None:
        """Follow orders until the grader is gone."""
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        while True:
            if poll.poll(50 if self.middle else None):
                order, _ = self.control.receive(10)
                self._follow(order)
            if self.middle:
                self._watch()

    def end(self) -> None:
        """Kill the child, whatever it is doing."""
        if self.init:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.init, signal.SIGKILL)
        if self.middle:
            os.waitpid(self.middle, 0)
        self.middle = self.init = 0

    def _follow(self, order: dict[str, Any]) -> None:
        if order.get("do") == "open":
            self.end()
            self._open(_receive_socket(self.control.end))
        elif order.get("do") == "interrupt" and self.init:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.init, signal.SIGUSR1)
        elif order.get("do") == "close":
            self.end()
            self.control.send({"closed": True, "reason": self.reason})

    def _open(self, end: socket.socket) -> None:
        """Fork a child that serves the submission at the other end of `end`."""
        self.reason, self.ended_at = "", 0.0
        told, tell = os.pipe()
        go, let_go = os.pipe()
        middle = os.fork()
        if not middle:
            os.close(told), os.close(let_go)
            _middle(end, self.control, tell, go, self.shell, self.settings)
        self.middle = middle
        os.close(tell), os.close(go)
        end.close()
        try:
            if os.read(told, 1) == b"u" and self.settings["as root"]:
                confine.map_user(middle, confine.NOBODY, confine.NOBODY)
            os.write(let_go, b"g")
            self.init = int(os.read(told, 20) or b"0")
        except OSError as error:
            self.reason = f"the child could not be shut in: {error}"
            os.kill(middle, signal.SIGKILL)
        finally:
            os.close(told), os.close(let_go)
        self.control.send({"opened": bool(self.init), "reason": self.reason})

    def _watch(self) -> None:
        """Where the child's processes use too much memory together, kill the largest, and if that won't do, all."""
        done, _ = os.waitpid(self.middle, os.WNOHANG)
        if done:
            self.middle = self.init = 0
            return
        used = {
            int(name): max(0, _own_memory(int(name)) - self.baseline)
            for name in (os.listdir("/proc") if self.settings["own proc"] else ())
            if name.isdigit() and int(name) not in (os.getpid(), self.middle, self.init, 1)
        }
        if sum(used.values()) <= self.settings["memory"] * 1_000_000:
            self.ended_at = 0.0
            return
        self.reason = f"its processes used more than {self.settings['memory']} MB of memory together"
        if self.ended_at and time.monotonic() - self.ended_at > RELEASE_SECONDS:
            os.kill(self.init, signal.SIGKILL)
        elif not self.ended_at:  # the others may be copies that have a mark to earn
            self.ended_at = time.monotonic()
            with contextlib.suppress(ProcessLookupError):
                os.kill(max(used, key=used.__getitem__), signal.SIGKILL)


def _own_memory(pid: int) -> int:
    """Bytes of memory that are not files: anonymous and shared."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            lines = [line.split() for line in file if line.startswith(("RssAnon", "RssShmem"))]
        return sum(int(line[1]) * 1024 for line in lines)
    except (OSError, ValueError, IndexError):
        return 0


def _receive_socket(end: socket.socket) -> socket.socket:
    """The connection that the grader hands over, behind one byte."""
    select.select([end], [], [], 10)
    _, ancillary, _, _ = end.recvmsg(1, socket.CMSG_LEN(4))
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            (number,) = array.array("i", data[:4])
            return socket.socket(fileno=number)
    raise OSError("no connection was handed over")


def _middle(end: socket.socket, control: Any, tell: int, go: int, shell: Any, settings: dict[str, Any]) -> None:
    """Leave the worker's namespaces, fork what becomes process 1 of the new ones, and wait for its end."""
    code, own = EXIT_NOT_CONFINED, (os.getuid(), os.getgid())
    try:
        control.end.close()
        confine.die_with_parent()
        if settings["namespaces"]:
            confine.unshare()
            if not settings["as root"]:
                confine.map_user("self", *own)
        os.write(tell, b"u")
        os.read(go, 1)
        init = os.fork()
        if not init:
            os.close(tell), os.close(go)
            _init(end, shell, settings)
        os.write(tell, str(init).encode())
        os.close(tell), os.close(go)
        end.close()
        _, status = os.waitpid(init, 0)
        code = os.waitstatus_to_exitcode(status) & 0xFF
    finally:
        os._exit(code)


def _init(end: socket.socket, shell: Any, settings: dict[str, Any]) -> None:
    """Process 1: shut everything in, fork the student's process, pass on interrupts, and bury the dead."""
    from classroom.grade.wire import Line

    try:
        line = Line(end)
        protections = _shut_in(settings)
        line.send({"hello": True, "protections": protections})

        def interrupt(*_: Any) -> None:
            with contextlib.suppress(OSError):
                os.kill(-1, signal.SIGINT)

        if settings["namespaces"]:
            signal.signal(signal.SIGUSR1, interrupt)
        main = os.fork()
        if not main:
            signal.signal(signal.SIGUSR1, signal.SIG_DFL)
            _close_all_but(end.fileno())
            Child(line, shell).serve()
            os._exit(0)
        if not settings["namespaces"]:
            signal.signal(signal.SIGUSR1, lambda *_: os.kill(main, signal.SIGINT))
        end.close()
        with contextlib.suppress(ChildProcessError):  # until nobody is left
            while True:
                os.wait()
    finally:
        os._exit(0)


def _close_all_but(kept: int) -> None:
    highest = 4096
    os.closerange(3, kept)
    os.closerange(kept + 1, highest)


def _shut_in(settings: dict[str, Any]) -> dict[str, str]:
    """Each protection of the child, and why it is off: nothing where it is on."""
    limits, found = settings["limits"], {}
    os.setsid()
    os.nice(5)  # who watches comes first
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    if settings["namespaces"]:
        confine.become_nobody()
        found["own namespaces"] = ""

        def folders() -> None:
            for place, megabytes in (("/tmp", limits["disk"]), (HOME, limits["disk"]), ("/dev/shm", limits["disk"])):
                confine.mount_own(place, megabytes)
            confine.cover_proc()

        found["own folders"] = confine.attempt(folders)
    else:
        found["own namespaces"] = found["own folders"] = settings["why no namespaces"]
    found["limits"] = confine.attempt(
        lambda: confine.limit(limits["processor"], limits["data"], limits["disk"], limits["processes"])
    )
    found["ends with the grader"] = confine.attempt(confine.die_with_parent)
    found["no capabilities"] = confine.attempt(confine.drop_capabilities)
    found["system calls"] = confine.attempt(confine.refuse_system_calls)
    with contextlib.suppress(OSError):
        os.chdir(HOME)
    os.environ["TMPDIR"] = "/tmp"
    return found


class Output(io.RawIOBase):
    """What a cell writes, up to a bound; the rest is counted and dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.kept, self.dropped = bytearray(), 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        data = bytes(data)
        room = max(0, 4 * OUTPUT - len(self.kept))
        self.kept += data[:room]
        self.dropped += len(data) - len(data[:room])
        return len(data)

    def text(self) -> str:
        """What was written, and how much was not kept."""
        text = self.kept.decode("utf-8", "replace")
        dropped = self.dropped + len(text[OUTPUT:])
        return text[:OUTPUT] + (f"\n… and about {dropped} characters more" if dropped else "")


class Child:
    """The process with the student's names: it runs cells, and makes copies of itself that answer calls."""

    def __init__(self, line: Any, shell: Any):
        self.line, self.shell = line, shell
        self.busy = False
        self.functions: dict[int, Any] = {}
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, *_: Any) -> None:
        if self.busy:
            raise KeyboardInterrupt("the time for this is up")

    def serve(self) -> None:
        """Do what the grader asks until it hangs up."""
        from classroom.grade.wire import OURS

        self.line.bounds = OURS
        while True:
            order, raw = self.line.receive(24 * 3600)
            done = getattr(self, f"_{order['do']}")(order, raw)
            if done is not None:
                answer, pieces = done
                self.line.send(answer, pieces)

    def _run(self, order: dict[str, Any], raw: memoryview) -> tuple[dict[str, Any], list[bytes]]:
        """Run a cell as a notebook would, and give what it printed."""
        sink = Output()
        stream = io.TextIOWrapper(sink, encoding="utf-8", errors="backslashreplace", write_through=True)
        failed, before = "", (sys.stdout, sys.stderr)
        sys.stdout = sys.stderr = stream
        try:
            self.busy = True
            result = self.shell.run_cell(order["source"], store_history=False)
            self.busy = False
            error = result.error_before_exec or result.error_in_exec
            failed = type(error).__name__ if error is not None else ""
        except BaseException as error:
            failed = type(error).__name__
        finally:
            self.busy = False
            sys.stdout, sys.stderr = before
            _close_figures()
        return {"done": True, "failed": str(failed)[:100], "output": sink.text()}, []

    def _copy(self, order: dict[str, Any], raw: memoryview) -> None:
        """Fork a copy that answers calls over a connection of its own."""
        end = _receive_socket(self.line.end)
        if not os.fork():
            self.line.end.close()
            self.line.end = end
            self.line.send({"hello": True})
            return None
        end.close()
        return None

    def _look(self, order: dict[str, Any], raw: memoryview) -> tuple[dict[str, Any], list[bytes]]:
        """What stands under names: a value as data, or a function to be called by its key."""
        from classroom.grade.wire import STUDENT, Writer

        writer = Writer(self._special, STUDENT)
        found = {}
        for name in order["names"]:
            if name in self.shell.user_ns:
                found[name] = writer.node(self.shell.user_ns[name])
        return {"done": True, "found": found}, writer.raw

    def _special(self, value: Any, writer: Any) -> dict[str, Any] | None:
        if not callable(value):
            return None
        key = len(self.functions)
        self.functions[key] = value
        name = getattr(value, "__name__", "")
        return {"function": [key, name if isinstance(name, str) else ""]}

    def _call(self, order: dict[str, Any], raw: memoryview) -> tuple[dict[str, Any], list[bytes]]:
        """Call a function of the student's with what the grader sends."""
        from classroom.calling import Failure, copied, unchanged
        from classroom.grade import subjects
        from classroom.grade.wire import OURS, STUDENT, Reader, WireError, Writer

        models: list[Any] = []
        reader = Reader(raw, OURS, lambda kind, content, reader: self._build(kind, content, reader, models))
        models += [subjects.build_model(content, reader, self._ask) for content in order["models"]]
        args, kwargs = reader.value(order["args"]), reader.value(order["kwargs"])
        before, states = copied((args, kwargs)), [subjects.state_of(model) for model in models]
        function = self.functions[order["key"]]
        writer, devnull = Writer(self._special, STUDENT), open(os.devnull, "w")
        sys.stdout = sys.stderr = devnull
        try:
            self.busy = True
            answer = {"value": writer.node(function(*args, **kwargs))}
            self.busy = False
        except BaseException as error:
            self.busy = False
            writer = Writer(self._special, STUDENT)
            if isinstance(error, WireError):
                answer = {"too large": str(error)}
            else:
                answer = {"failure": _as_data(Failure.of(error)), "asked": getattr(error, "asked", None)}
        answer["unchanged"] = bool(unchanged(before, (args, kwargs)))
        answer["left"] = [subjects.left_on(model, state, writer) for model, state in zip(models, states, strict=True)]
        return {"done": True} | answer, writer.raw

    def _build(self, kind: str, content: Any, reader: Any, models: list[Any]) -> Any:
        from classroom.grade import subjects

        if kind == "model":
            models.append(subjects.build_model(content, reader, self._ask))
            return models[-1]
        if kind == "part":
            place, name = content
            return models[place].get_submodule(name)
        if kind == "run":
            place, args, kwargs = content
            return functools.partial(models[place], *reader.value(args), **reader.value(kwargs))
        if kind == "tokenizer":
            return subjects.build_tokenizer(content)
        if kind == "theirs":
            return self.functions[content]
        key, name = content
        return subjects.stand_in(key, name, self._ask)

    def _ask(self, key: int, args: tuple, kwargs: dict[str, Any], back: dict[str, Any] | None = None) -> Any:
        """The value that a function of the grader's has, or the gradients that go back through an earlier one."""
        from classroom.grade import subjects
        from classroom.grade.wire import OURS, STUDENT, Reader, Writer

        was_busy, self.busy = self.busy, False
        try:
            writer = Writer(bounds=STUDENT)
            order = {"ask": key, "args": writer.node(args), "kwargs": writer.node(kwargs)}
            self.line.send(order | (back or {}), writer.raw)
            answer, raw = self.line.receive(600)
        finally:
            self.busy = was_busy
        if "refused" in answer:
            raise subjects.error_of(answer["refused"], answer.get("asked"))
        value = Reader(raw, OURS).value(answer["value"])
        return (value, answer["tape"]) if back is not None and "tape" in answer else value


def _as_data(failure: Any) -> dict[str, Any]:
    def short(text: Any, longest: int) -> str:
        return str(text)[:longest]

    return {
        "kind": short(failure.kind, 100),
        "words": short(failure.words, 1000),
        "line": failure.line if isinstance(failure.line, int) else 0,
        "code": short(failure.code, 300),
        "inner": short(failure.inner, 100),
        "unwritten": bool(failure.unwritten),
    }


def _close_figures() -> None:
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        with contextlib.suppress(Exception):
            pyplot.close("all")
