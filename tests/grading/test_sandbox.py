"""The sandbox: what it shuts off, what it refuses to do without, and that our own failures cost nobody a mark."""

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from classroom.grade import job, sandbox, secret, stage, station
from classroom.grade.job import Cell, Job, Paper
from classroom.grade.sandbox import MODES, Died, Limits, Sandbox, SandboxFailed, bubblewrap, python_inside
from classroom.grade.submission import Extra, Submission

LIB = Path(__file__).resolve().parents[2] / "lib"
LIMITS = Limits(cell_seconds=5, call_seconds=5, total_seconds=60, memory=700, data=1900, disk=20, processes=32)
needs_sandboxes = pytest.mark.usefixtures("sandboxes")
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module", params=["as root", "ordinary"])
def box(request, sandboxes):
    """A sandbox in each way in which this user may have one."""
    modes = [mode for mode in sandbox.usable_modes()[0] if mode.as_root == (request.param == "as root")]
    if not modes:
        pytest.skip("only root may have this kind")
    one = Sandbox(["glassbox.attention.rollout"], LIMITS, imports=("torch", "glassbox", "smallworld"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "usable_modes", lambda: (modes, []))
        one.start()
    yield one
    one.stop()


@pytest.fixture
def child(box):
    one = box.open()
    yield one
    one.close()
    box.close_child()


def printed(child, source: str) -> str:
    output, failed = child.run(source, 20)
    assert not failed, output
    return output.strip()


def test_every_protection_is_on(box):
    off = {one.name: one.reason for one in box.protections if not one.on}
    assert off.keys() <= (set() if box.mode.as_root else {"a user's id of its own"})
    assert len(box.protections) >= 10


def test_the_child_is_nobody_and_alone(child):
    assert printed(child, "import os; print(os.getuid(), os.getgid(), os.getpid(), os.getppid())") == "65534 65534 2 1"
    assert printed(child, "print(sorted(os.listdir('/proc')))") == "['cpuinfo', 'filesystems', 'meminfo', 'version']"
    status = "import ctypes; do = ctypes.CDLL(None).prctl\nprint(do(39, 0, 0, 0, 0), do(23, 21, 0, 0, 0))"
    assert printed(child, status) == "1 0", "no new privileges, no capability even to be given"


def test_the_child_sees_nothing_of_the_course_and_the_grader(child):
    source = (
        "import os\nprint([n for n in os.environ if 'CLASSROOM' in n], *map(os.path.exists, ('/etc/passwd', '/sys')))"
    )
    seen = printed(child, source)
    assert seen == "[] False False"
    assert printed(child, f"print(os.path.exists({str(LIB / 'classroom' / 'checks' / 'rollout.py')!r}))") == "False"
    assert printed(child, f"print(os.path.exists({str(LIB.parent / 'solutions')!r}))") == "False"


def test_the_child_can_write_to_folders_of_its_own_alone(child):
    source = """
def may(place):
    try:
        with open(place + '/x', 'w') as file: file.write('x')
        return True
    except OSError: return False
import os
places = '/', '/course', '/usr', '/dev', '/dev/shm', '/tmp', '/home/student', '/proc', '/home'
print([place for place in places if may(place)])
"""
    assert printed(child, source) == "['/dev/shm', '/tmp', '/home/student']"


def test_the_child_has_no_network(child):
    source = """
import socket
def reach(family, place):
    try:
        with socket.socket(family) as one:
            one.settimeout(2); return one.connect_ex(place) == 0
    except OSError: return False
print(reach(socket.AF_INET, ('127.0.0.1', 22)), reach(socket.AF_UNIX, '/run/systemd/private'))
"""
    assert printed(child, source) == "False False"


CALLS = [
    "unshare(0x10000000)",
    "mount(b'x', b'/tmp', b'tmpfs', 0, None)",
    "ptrace(16, 1, 0, 0)",
    "umount2(b'/proc', 2)",
]
CALLS += ["setns(0, 0)", "chroot(b'/tmp')", "setresuid(0, 0, 0)"]


@pytest.mark.parametrize("call", CALLS)
def test_system_calls_that_nobody_needs_fail(child, call):
    source = f"import ctypes; libc = ctypes.CDLL(None, use_errno=True)\nprint(libc.{call}, ctypes.get_errno())"
    assert printed(child, source) in ("-1 1", "-1 22"), "an error: not permitted, or no such user here"


def test_a_file_can_grow_no_larger_than_allowed(child):
    source = f"""
try:
    with open('/tmp/large', 'wb') as file:
        for _ in range({3 * LIMITS.disk}): file.write(bytes(1_000_000))
except OSError as error: print(type(error).__name__)
"""
    assert printed(child, source) == "OSError"


def test_memory_of_all_processes_together_is_watched(box):
    child = box.open()
    grow = "hogs = []\n    while True: hogs.append(bytearray(b'x') * 2_000_000)"
    with pytest.raises(Died):
        child.run(
            f"import os\nfor _ in range(12):\n    if os.fork(): continue\n    {grow}\nimport time; time.sleep(200)", 200
        )
    child.close()
    assert "700 MB of memory" in box.close_child()


def test_one_process_that_grows_without_end_is_ended_and_its_siblings_answer(box):
    child = box.open()
    child.run("def grow():\n    hogs = []\n    while True: hogs.append(bytearray(b'x') * 20_000_000)", 5)
    growing, calm = child.copy(), child.copy()
    for one in (growing, calm):
        one.ask({"do": "look", "names": ["grow"]}, seconds=5)
    with pytest.raises(Died, match="it ended"):
        growing.ask({"do": "call", "key": 0, "models": [], "args": {"tuple": []}, "kwargs": {"dict": []}}, seconds=20)
    assert "found" in calm.ask({"do": "look", "names": ["grow"]}, seconds=5)[0]
    assert child.run("print(1)", 5) == ("1\n", "")
    child.close()
    assert "700 MB of memory" in box.close_child()


def test_without_a_sandbox_nobody_elses_memory_is_watched():
    assert not sandbox.UNPROTECTED.own_proc


def test_one_child_knows_nothing_of_the_one_before(box):
    place = "('/tmp/note', '/dev/shm/note', '/home/student/note')"
    first = box.open()
    printed(first, f"for place in {place}: open(place, 'w').write('x')\nimport torch; torch.note = 1")
    first.close()
    box.close_child()
    second = box.open()
    assert printed(
        second, f"import os, torch; print([os.path.exists(p) for p in {place}], hasattr(torch, 'note'))"
    ) == ("[False, False, False] False")
    second.close()
    box.close_child()


def test_an_interrupted_cell_leaves_the_process_as_it_is(box):
    child = box.open()
    printed(child, "kept = 7")
    assert child.run("while True: pass", 1)[1] == "Timeout"
    assert printed(child, "print(kept)") == "7"
    child.close()
    box.close_child()


def test_what_the_chapter_teaches_is_empty_and_the_rest_works(child):
    source = """
import importlib, glassbox, glassbox.attention
for _ in range(2):
    try: glassbox.attention.rollout(None)
    except NotImplementedError as error: print('teaches' in str(error))
    importlib.reload(glassbox.attention)
print(callable(glassbox.explain), len(glassbox.METHODS) > 10)
"""
    assert printed(child, source) == "True\nTrue\nTrue True"


IMPORT_EACH = """
import sys
for folder in sys.argv[1:]:
    for name in [name for name in sys.modules if name.startswith('glassbox')]:
        del sys.modules[name]
    sys.path.insert(0, folder)
    import glassbox, glassbox.figures, glassbox.charts
    assert glassbox.__file__.startswith(folder), glassbox.__file__
print('whole')
"""


def test_every_chapter_has_a_library_without_what_it_teaches(tmp_path):
    from classroom.source import chapters, load

    folders = []
    for source in chapters(LIB.parent):
        folders.append(str(tmp_path / source.stem))
        stage.copy_library(LIB / "glassbox", tmp_path / source.stem / "glassbox", load(source).meta["teaches"])
    tried = subprocess.run([sys.executable, "-c", IMPORT_EACH, *folders], capture_output=True, text=True)
    assert tried.stdout == "whole\n", tried.stderr[-800:]


def test_a_name_that_is_not_taught_anywhere_is_refused(tmp_path):
    with pytest.raises(ValueError, match="glassbox.attention.roolout"):
        stage.copy_library(LIB / "glassbox", tmp_path / "glassbox", ["glassbox.attention.roolout"])


def paper(
    test: str = "judge(call(double, 4), 8)\n### BEGIN HIDDEN TESTS\njudge(call(double, torch.tensor(1.5)), 3)",
) -> Paper:
    return Paper(
        "99_doubles",
        (
            Cell("double", "answer", True, "", "def double(x):\n    raise NotImplementedError()"),
            Cell("check-double", "test", True, test, "", 6),
        ),
        imports={"judge": "from classroom.checks import judge, call", "call": "from classroom.checks import call",
                 "torch": "import torch"},
    )  # fmt: skip


def work(answer: str, *extras: Extra, test: Paper | None = None, **more) -> Job:
    submission = Submission("a", "99_doubles", {"double": answer}, extras)
    return Job(test or paper(), submission, {"check-double": 5}, LIMITS, **more)


RIGHT = "def double(x):\n    return 2 * x"


@needs_sandboxes
def test_a_sandbox_that_fails_gives_no_mark_and_no_zero(monkeypatch):
    def fails(self):
        raise SandboxFailed("no room")

    station.close()
    monkeypatch.setattr(Sandbox, "start", fails)
    result = station.run(work(RIGHT))
    assert (result.status, result.scores) == ("not_graded", {}) and "no room" in result.notes[0]


@needs_sandboxes
def test_a_worker_that_was_killed_is_replaced_and_the_mark_is_right():
    assert station.run(work(RIGHT)).scores["check-double"].points == 6
    (one,) = station._open.values()
    one.process.kill()
    one.process.wait()
    assert station.run(work(RIGHT)).scores["check-double"].points == 6
    station.close()


@needs_sandboxes
def test_a_check_that_hands_over_what_cannot_cross_costs_nobody_a_mark():
    imports = {"call": "from classroom.checks import call", "Path": "from pathlib import Path"}
    result = station.run(work(RIGHT, test=replace(paper("call(double, Path())"), imports=imports)))
    assert (result.status, result.scores["check-double"].points) == ("graded", None), "it waits for a person"
    assert "PosixPath can't be handed" in result.notes[0]
    station.close()


def test_without_bubblewrap_nothing_runs_unless_it_may_be_unsafe(monkeypatch, tmp_path):
    station.close()
    ran = tmp_path / "ran"
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    mine = Extra("", f"open({str(ran)!r}, 'w').close()")
    refused = station.run(work(RIGHT, mine))
    assert refused.status == "not_graded" and "bubblewrap is missing" in refused.notes[0] and not ran.exists()
    unsafe = station.run(work(RIGHT, mine, unsafe=True))
    assert unsafe.scores["check-double"].points == 6 and ran.exists()
    (one,) = station._open.values()
    assert not any(p.on for p in one.protections if p.name in ("bubblewrap", "no network", "own namespaces"))
    station.close()


def test_other_systems_are_told_to_use_a_container(monkeypatch):
    monkeypatch.setattr(sandbox.sys, "platform", "darwin")
    assert "container" in sandbox.usable_modes()[1][0]


@needs_sandboxes
def test_when_the_grader_is_killed_its_sandbox_ends():
    code = (
        "from classroom.grade.sandbox import *; import time\n"
        "s = Sandbox([], imports=()); s.start(); c = s.open(); print(s.process.pid, flush=True)\n"
        "c.run('import os\\nfor _ in range(3): os.fork() or __import__(\"time\").sleep(600)', 600)"
    )
    grader = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    inside = int(grader.stdout.readline())
    time.sleep(1)
    grader.send_signal(signal.SIGKILL)
    grader.wait()
    grader.stdout.close()
    for _ in range(100):
        if not Path(f"/proc/{inside}").exists():
            return
        time.sleep(0.1)
    raise AssertionError("the sandbox outlived the grader")


def test_the_secret_is_made_once_and_kept_to_its_owner(tmp_path):
    key = secret.secret(tmp_path)
    assert secret.secret(tmp_path) == key and len(key) == 32
    assert (tmp_path / "grades" / "secret").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "grades").iterdir()] == ["secret"]
    (tmp_path / "grades" / "secret").write_text("")
    with pytest.raises(ValueError, match="is no secret"):
        secret.secret(tmp_path)


def test_each_student_has_inputs_of_their_own_and_the_same_ones_again():
    seeds = {
        (key, student, cell): secret.seed(key, student, "02_rollout", cell)
        for key in (b"a" * 32, b"b" * 32)
        for student in ("ann", "bob", "an", "nbob")
        for cell in ("check-x", "check-y")
    }
    assert len(set(seeds.values())) == len(seeds)
    assert all(0 <= seed < 2**31 for seed in seeds.values())
    assert secret.seed(b"a" * 32, "ann", "02_rollout", "check-x") == seeds[b"a" * 32, "ann", "check-x"]


def test_the_secret_stays_out_of_jobs(tmp_path):
    key = secret.secret(tmp_path)
    text = job.make(tmp_path, Submission("a", "99_doubles", {}), paper()).to_json()
    assert key.hex() not in text and '"check-double": ' in text
    assert Job.from_json(text).to_json() == text


def test_modes_are_tried_from_the_strongest_down():
    assert [mode.as_root for mode in MODES] == [True, False, False]


def test_the_environment_is_seen_wherever_it_lies(tmp_path):
    """Also in /tmp, in whose place the sandbox and each submission have a folder of their own."""
    command = bubblewrap(MODES[0], tmp_path)
    shown = [command[place + 2] for place, word in enumerate(command) if word == "--ro-bind"]
    assert python_inside().startswith(tuple(f"{folder}/" for folder in shown))
    assert not any(folder == "/tmp" or folder.startswith("/tmp/") for folder in shown)
