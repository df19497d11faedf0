"""What a student's code may try on the system: files, other processes, the network, the connection to the grader."""

from tests.grading.hostile.case import FULL, RIGHT, add, extra, fuse

FAMILY = "marks and other people's work"
TRY = """
import os, glob, sqlite3
def attempt(what, *args):
    try: return what(*args)
    except BaseException as error: return error
"""
extra(
    FAMILY,
    "the gradebook written",
    TRY
    + """
for place in ('gradebook.db', '../gradebook.db', '../../gradebook.db', COURSE + '/gradebook.db'):
    def write():
        db = sqlite3.connect(place); db.execute('update grade set auto_score = 212'); db.commit()
    attempt(write)
""",
)
extra(
    FAMILY,
    "a process left behind that writes the gradebook later",
    TRY
    + """
import subprocess, sys
code = "import time, os; time.sleep(3); open(%r, 'a').write('x')" % (COURSE + '/gradebook.db')
attempt(lambda: subprocess.Popen([sys.executable, '-S', '-c', code], start_new_session=True))
""",
)
extra(
    FAMILY,
    "a file of results written",
    TRY + "attempt(lambda: open(COURSE + '/grades/02_rollout/results/x.json', 'w').write('{}'))",
)
extra(
    FAMILY,
    "solutions, secrets and neighbours read and printed",
    TRY
    + """
for pattern in ('/**/02_rollout.ipynb', COURSE + '/**/*', LIB + '/classroom/checks/*.py', '/root/*', '/home/*/*'):
    for path in glob.glob(pattern, recursive=True)[:200]:
        text = attempt(lambda: open(path).read())
        if isinstance(text, str): print(path, text[:2000])
""",
)
extra(
    FAMILY,
    "links to solutions and neighbours",
    TRY
    + """
for n, place in enumerate((COURSE + '/submitted', COURSE + '/solutions', COURSE + '/grades/secret', '/etc/shadow', '/proc/1/environ')):
    attempt(os.symlink, place, f'link{n}')
    print(attempt(lambda: open(f'link{n}').read()), attempt(os.listdir, f'link{n}'))
""",
)
extra(
    FAMILY,
    "the environment of everybody printed",
    TRY
    + """
print(dict(os.environ))
for path in glob.glob('/proc/*/environ') + glob.glob('/proc/*/cmdline') + glob.glob('/proc/*/fd/*'):
    print(path, attempt(lambda: open(path, 'rb').read()))
""",
)
fuse(
    "the reference",
    "the reference in the library",
    "import glassbox.attention\ndef fuse_heads(attention, how):\n    return glassbox.attention.FUSIONS[how](attention[None])[0]",
)
fuse(
    "the reference",
    "the reference in the library, imported anew",
    """
import importlib, sys
def fuse_heads(attention, how):
    for name in [name for name in sys.modules if name.startswith('glassbox')]: del sys.modules[name]
    return importlib.import_module('glassbox.attention').FUSIONS[how](attention[None])[0]
""",
)
fuse(
    "the reference",
    "the reference in the checks",
    "from classroom.checks import rollout as theirs\ndef fuse_heads(attention, how):\n    return theirs.FUSIONS[how](attention, 0)",
)
extra(
    FAMILY,
    "the library on disk changed",
    TRY
    + """
import glassbox, torch, classroom.grade.worker
for module in (glassbox, torch, classroom.grade.worker):
    attempt(lambda: open(module.__file__, 'a').write('raise SystemExit'))
    attempt(os.chmod, module.__file__, 0o777); attempt(os.remove, module.__file__)
for place in ('/course/sitecustomize.py', '/usr/lib/x.py', os.path.dirname(torch.__file__) + '/x.py', '/bin/x', '/x'):
    attempt(lambda: open(place, 'w').write('raise SystemExit'))
""",
)
extra(
    FAMILY,
    "start-up files of IPython and Python written",
    TRY
    + """
for place in ('~/.ipython/profile_default/startup/x.py', '~/.config/matplotlib/matplotlibrc', '~/.local/lib/python3.11/site-packages/usercustomize.py'):
    path = os.path.expanduser(place)
    attempt(lambda: os.makedirs(os.path.dirname(path))); attempt(lambda: open(path, 'w').write('raise SystemExit'))
""",
)
extra(FAMILY, "everything deleted", TRY + "import shutil\nfor place in ('/home/student', '/tmp', '/course', COURSE, LIB, '/usr', '/'):\n"
      "    shutil.rmtree(place, ignore_errors=True)")  # fmt: skip

NOTE = "/tmp/note /dev/shm/note /home/student/note /var/tmp/note /course/note".split()
extra(
    FAMILY,
    "a note left for the next student",
    TRY
    + f"""
import socket, threading, time
for place in {NOTE}:
    attempt(lambda: open(place, 'w').write('answer'))
def serve():
    s = socket.socket(socket.AF_UNIX); s.bind('\\0note'); s.listen()
    t = socket.socket(); t.bind(('127.0.0.1', 45454)); t.listen(); time.sleep(60)
threading.Thread(target=lambda: attempt(serve), daemon=True).start()
attempt(lambda: os.fork() or (os.setsid(), time.sleep(60), os._exit(0)))
""",
)
fuse(
    FAMILY,
    "a note left by an earlier student looked for",
    TRY
    + f"""
import socket
def look():
    for place in {NOTE}:
        if os.path.exists(place): return True
    for family, place in ((socket.AF_UNIX, '\\0note'), (socket.AF_INET, ('127.0.0.1', 45454))):
        s = socket.socket(family); s.settimeout(1)
        if s.connect_ex(place) == 0: return True
def fuse_heads(attention, how):
    if look() is True: return {{'mean': attention.mean, 'max': attention.amax, 'min': attention.amin}}[how](0)
""",
)

add(
    FAMILY,
    "hidden numbers passed on from one answer to another, and shown as an error",
    FULL - 15,
    RIGHT
    | {
        "fuse-heads": RIGHT["fuse-heads"]
        + """
import os
inner, calls = fuse_heads, []
def fuse_heads(attention, how):
    calls.append(1)
    if len(calls) > 6: open('/tmp/seen', 'w').write('leaked' + '-' + 'numbers')
    return inner(attention, how)
""",
        "add-residual": RIGHT["add-residual"]
        + """
mixed_in = add_residual
def add_residual(fused, residual_weight=0.5):
    if os.path.exists('/tmp/seen'): raise ValueError(open('/tmp/seen').read())
    return mixed_in(fused, residual_weight)
""",
    },
)

FAMILY = "the system"
extra(
    FAMILY,
    "another user, other namespaces, mounts",
    TRY
    + """
import ctypes
libc = ctypes.CDLL(None)
print([attempt(os.setuid, 0), libc.unshare(0x10000000), libc.unshare(0x20000), libc.mount(b'none', b'/tmp', b'tmpfs', 0, None),
       libc.mount(b'proc', b'/proc', b'proc', 0, None), libc.umount2(b'/proc', 2), libc.chroot(b'/'), libc.setns(0, 0)])
assert os.getuid() == 65534
""",
)
extra(
    FAMILY,
    "other processes looked into",
    "import ctypes\nlibc = ctypes.CDLL(None)\nfor pid in range(1, 50):\n    libc.ptrace(16, pid, 0, 0)\n"
    "libc.syscall(250, 0, -4, 0); libc.syscall(321, 0, 0, 0); libc.syscall(298, 0, 0, 0, 0, 0)",
)
extra(
    FAMILY,
    "limits raised",
    TRY
    + "import resource\nfor what in range(16):\n    attempt(resource.setrlimit, what, (resource.RLIM_INFINITY,) * 2)",
)
extra(
    FAMILY,
    "something listening on this machine",
    TRY
    + """
import socket
def reach(family, place):
    s = socket.socket(family); s.settimeout(1); s.connect(place); s.send(b'hello')
for port in PORTS: print(attempt(reach, socket.AF_INET, ('127.0.0.1', port)))
print(attempt(socket.socket, 16), attempt(socket.socket, 38))
""",
)
extra(
    FAMILY,
    "programs started",
    TRY + "import subprocess\nprint(attempt(subprocess.run, ['sh', '-c', 'id; ls -la /; ps; bwrap --version'], 10))",
)
extra(FAMILY, "set-user-id programs", TRY + "print(attempt(os.system, 'su -c id; sudo id; mount'))")

FAMILY = "the connection to the grader"
FIND = """
import os, socket, stat, json, struct
def lines():
    found = []
    for number in range(3, 300):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode): found.append(socket.socket(fileno=os.dup(number)))
        except OSError: pass
    return found
def message(content, raw=b''):
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack('!IQ', len(text), len(raw)) + text + raw
"""
GIVEN = (
    "{'done': True, 'unchanged': True, 'left': [], 'value': {'list': []}, 'points': 10, 'found': {'fuse_heads': 10}}"
)
for name, sent in (
    ("answers sent before they are asked for", f"message({GIVEN}) * 20"),
    ("a message that is announced and never comes", "struct.pack('!IQ', 1000, 10)"),
    ("a message of a million terabytes", "struct.pack('!IQ', 2**32 - 1, 2**63)"),
    ("JSON a hundred thousand deep", "message(b'[' * 100_000)"),
    ("JSON that is none", "message(b'{not json}')"),
    ("JSON that is no object", "message([1, 2, 3])"),
    ("random bytes", "os.urandom(100_000)"),
):
    extra(FAMILY, name, f"{FIND}\nfor line in lines(): line.send({sent})", at_most=True)
for name, sent in (
    ("a tensor with more numbers than were sent", "message({'done': True, 'unchanged': True, 'left': [], 'value': {'tensor': ['float64', [3, 3], 72, False]}})"),
    ("a tensor of a negative size", "message({'done': True, 'unchanged': True, 'left': [], 'value': {'tensor': ['float64', [-3, -3], 72, False]}}, bytes(72))"),
    ("a tensor of a type that does not exist", "message({'done': True, 'unchanged': True, 'left': [], 'value': {'tensor': ['object', [3], 24, False]}}, bytes(24))"),
    ("a value of a kind that does not exist", "message({'done': True, 'unchanged': True, 'left': [], 'value': {'__reduce__': ['os.system', 'true']}})"),
    ("a question about a function that was never handed over", "message({'ask': 7, 'args': {'tuple': []}, 'kwargs': {'dict': []}})"),
    ("a failure that is none", "message({'done': True, 'unchanged': True, 'left': [], 'failure': {'kind': 3}})"),
    ("what was left on models that never were", "message({'done': True, 'unchanged': True, 'left': [{'weights': 5}], 'value': 1})"),
    ("an error of the check's own that never was", "message({'done': True, 'unchanged': True, 'left': [], 'asked': -1})"),
):  # fmt: skip
    fuse(
        FAMILY,
        name,
        f"{FIND}\ndef fuse_heads(attention, how):\n    for line in lines(): line.send({sent})\n    import time; time.sleep(1)",
        at_most=True,
    )
fuse(
    FAMILY,
    "file descriptors sent to the grader",
    FIND
    + """
def fuse_heads(attention, how):
    for line in lines():
        for _ in range(100): socket.send_fds(line, [message({'done': True})[:1]], [os.open('/dev/null', 0)])
""",
)
fuse(
    FAMILY,
    "everything that is readable read away",
    FIND + "\ndef fuse_heads(attention, how):\n    for line in lines():\n        line.settimeout(1)\n"
    "        try: line.recv(10**6)\n        except OSError: pass\n    return attention[0]",
    at_most=True,
)  # fmt: skip
