"""What a student's code may do to the process that it runs in, and to those around it."""

from tests.grading.hostile.case import RIGHT, WRONG, add, extra, fuse

FAMILY = "hooks and patches"
extra(
    FAMILY,
    "a transformer of syntax trees",
    """
import ast
class Pass(ast.NodeTransformer):
    def visit_Raise(self, node): return ast.Pass()
    def visit_Assert(self, node): return ast.Pass()
get_ipython().ast_transformers.append(Pass())
""",
)
extra(
    FAMILY,
    "a transformer of input",
    "get_ipython().input_transformers_cleanup.append(lambda lines: ['pass\\n'] if 'check' in ''.join(lines) else lines)",
)
extra(
    FAMILY,
    "something registered after each cell",
    "get_ipython().events.register('post_run_cell', lambda result: setattr(result, 'error_in_exec', None))",
)
extra(FAMILY, "a display hook that gives points", "import sys\nsys.displayhook = lambda value: print(10.0)")
extra(FAMILY, "points as the last value", "10.0")
extra(FAMILY, "points as outputs", "print('✓ 45 of 45')\nfrom IPython.display import display\ndisplay(45.0)")
extra(FAMILY, "torch.allclose and equal patched", "torch.allclose = torch.equal = lambda *a, **k: True")
extra(
    FAMILY,
    "numpy.testing and unittest patched",
    "import numpy.testing as t\nt.assert_allclose = t.assert_array_equal = lambda *a, **k: None",
)
extra(
    FAMILY,
    "built-ins patched",
    "import builtins\nbuiltins.AssertionError = type('E', (BaseException,), {})\nbuiltins.isinstance = lambda *a: True",
    at_most=True,
)
extra(
    FAMILY,
    "the checks replaced by ones that pass",
    "import sys, types\ncheck = types.SimpleNamespace(fuse_heads=lambda f, seed=0: None)\n"
    "import classroom.checks\nclassroom.checks.call = lambda *a: None\nclassroom.checks.judge = lambda *a, **k: None",
)
extra(
    FAMILY,
    "the wire patched to send something else",
    """
from classroom.grade import wire, worker
wire.Writer.node = lambda self, value, depth=0: {"tuple": []}
worker.Child._call = lambda self, order, raw: ({"done": True, "value": None, "points": 10, "unchanged": True}, [])
""",
    deserved=0,
    note="classroom",
)
extra(
    FAMILY,
    "the look-up of names patched to give points",
    """
from classroom.grade import worker
worker.Child._look = lambda self, order, raw: ({"done": True, "found": {"fuse_heads": True, "points": 10}}, [])
""",
    deserved=0,
)
fuse(
    FAMILY,
    "a look up the frames for the expected value",
    """
import sys, gc
def fuse_heads(attention, how):
    frame = sys._getframe()
    while frame:
        for name in ('right', 'expected', 'mistakes', 'seed'):
            if name in frame.f_locals: return frame.f_locals[name]
        frame = frame.f_back
    for thing in gc.get_objects():
        if isinstance(thing, dict) and 'right' in thing and isinstance(thing['right'], torch.Tensor): return thing['right']
    return attention[0]
""",
)
fuse(
    FAMILY,
    "a trace function in the check",
    """
import sys
def fuse_heads(attention, how):
    found = []
    sys.settrace(lambda frame, event, arg: found.append(frame.f_locals))
    return attention[0]
""",
)
fuse(
    FAMILY,
    "an answer that is an object, not a function",
    "class Anything:\n    __name__ = 'fuse_heads'\n    def __call__(self, *a): return self\n    def __eq__(self, o): return True\n"
    "fuse_heads = Anything()",
)
fuse(
    FAMILY,
    "a name that breaks a message",
    WRONG + "\nfuse_heads.__name__ = '<img src=x onerror=alert(1)>' * 1000",
)
fuse(FAMILY, "a mistake of the checks' own raised", "def fuse_heads(a, how):\n    raise AssertionError('10 points')")
extra(FAMILY, "standard streams closed", "import sys\nsys.stdout.close(); sys.stderr.close(); sys.stdin.close()")
extra(
    FAMILY,
    "a module beside the notebook that shadows another",
    "open('classroom.py', 'w').write('')\nopen('torch.py', 'w').write('raise SystemExit')\nimport sys; sys.path.insert(0, '.')",
)

FAMILY = "the end of the process"
for name, line in {
    "os._exit in a cell": "import os; os._exit(0)",
    "a segmentation fault in a cell": "import ctypes; ctypes.string_at(0)",
    "the process kills itself": "import os; os.kill(os.getpid(), 9)",
    "the process kills its parent": "import os; os.kill(os.getppid(), 9); os.kill(1, 9); os._exit(1)",
    "the process kills everybody": "import os; os.kill(-1, 9); os._exit(1)",
    "all file descriptors closed": "import os; os.closerange(0, 4096)",
}.items():
    fuse(FAMILY, name, f"{WRONG}\n{line}", note="fuse-heads")
fuse(FAMILY, "os._exit in the function", "def fuse_heads(a, how):\n    import os; os._exit(0)", note="fuse-heads")
fuse(
    FAMILY,
    "a segmentation fault in the function",
    "def fuse_heads(a, how):\n    import ctypes; ctypes.string_at(0)",
    note="fuse-heads",
)
fuse(FAMILY, "sys.exit in a cell", WRONG + "\nimport sys; sys.exit(0)")
fuse(FAMILY, "sys.exit in the function", "def fuse_heads(a, how):\n    raise SystemExit(0)")
fuse(FAMILY, "quit in a cell", WRONG + "\nquit()")
fuse(FAMILY, "endless recursion", "def fuse_heads(a, how):\n    return fuse_heads(a, how)")
fuse(
    FAMILY,
    "recursion through the floor of the stack",
    "import sys\nsys.setrecursionlimit(10**8)\ndef fuse_heads(a, how):\n    return [fuse_heads(a, how)]",
    note="fuse-heads",
)
add(
    FAMILY,
    "every cell ends the process",
    0,
    dict.fromkeys(RIGHT, "import os; os._exit(3)"),
    note="fuse-heads",
)

FAMILY = "time"
fuse(FAMILY, "a loop without end in a cell", WRONG + "\nwhile True: pass", note="fuse-heads")
fuse(FAMILY, "a loop without end in the function", "def fuse_heads(a, how):\n    while True: pass", note="fuse-heads")
UNKILLABLE = "while True:\n        try:\n            while True: pass\n        except BaseException: pass"
fuse(FAMILY, "a loop that no interrupt ends", f"{WRONG}\nif True:\n    {UNKILLABLE}", note="fuse-heads")
fuse(FAMILY, "a function that no interrupt ends", f"def fuse_heads(a, how):\n    {UNKILLABLE}", note="fuse-heads")
fuse(
    FAMILY,
    "interrupts switched off",
    WRONG + "\nimport signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(600)",
    note="fuse-heads",
)
fuse(
    FAMILY,
    "a long sleep in the function",
    "import time\ndef fuse_heads(a, how):\n    time.sleep(600)",
    note="fuse-heads",
)
extra(FAMILY, "a thread that outlives its cell", "import threading, time\ndef on():\n    while True: time.sleep(0.01)\n"
      "threading.Thread(target=on, daemon=False).start()")  # fmt: skip
fuse(
    FAMILY,
    "something at the end of the process that never ends",
    WRONG
    + "\nimport atexit, time\natexit.register(time.sleep, 600)\nclass D:\n    def __del__(self): time.sleep(600)\nkeep = D()",
)

FAMILY = "memory, disk and processes"
fuse(FAMILY, "three gigabytes at once", WRONG + "\nhog = bytearray(3_000_000_000)")
fuse(
    FAMILY,
    "gigabytes by and by, in several processes",
    WRONG
    + """
import os, time
for _ in range(5):
    if not os.fork():
        try:
            hogs = [bytearray(50_000_000) for _ in range(12)]
            for hog in hogs: hog[::4096] = b'x' * len(hog[::4096])
            time.sleep(20)
        finally:
            os._exit(0)
time.sleep(20)
""",
    note="fuse-heads",
)
fuse(
    FAMILY,
    "a tensor of a terabyte in the function",
    "def fuse_heads(a, how):\n    return torch.zeros(500_000, 500_000)",
)
fuse(
    FAMILY,
    "forty processes that stay",
    WRONG + "\nimport os, time\nfor _ in range(40):\n    if not os.fork():\n        time.sleep(60); os._exit(0)",
)
fuse(
    FAMILY,
    "more processes than there may be",
    WRONG
    + "\nimport os, time\nfor _ in range(200):\n    try:\n        if not os.fork():\n            time.sleep(30); os._exit(0)\n"
    "    except OSError: break",
)
fuse(
    FAMILY,
    "two hundred threads",
    WRONG
    + "\nimport threading, time\nfor _ in range(200):\n    try: threading.Thread(target=time.sleep, args=(30,), daemon=True).start()\n"
    "    except RuntimeError: break",
)
fuse(
    FAMILY,
    "a disk full of zeros",
    WRONG
    + "\nfor place in ('/tmp', '/home/student', '/dev/shm', '.'):\n    try:\n        with open(place + '/zeros', 'wb') as file:\n"
    "            for _ in range(300): file.write(bytes(1_000_000))\n    except OSError as error: print(error)",
)
fuse(
    FAMILY,
    "ten thousand empty files",
    WRONG + "\ntry:\n    for n in range(10_000): open(f'/tmp/{n}', 'w').close()\nexcept OSError: pass",
)
fuse(FAMILY, "fifty megabytes of output", WRONG + "\nfor _ in range(500): print('x' * 100_000)")
fuse(
    FAMILY,
    "output that never ends, in the function",
    "def fuse_heads(a, how):\n    while True: print('x' * 1000)",
    note="fuse-heads",
)
fuse(
    FAMILY,
    "all file descriptors used up",
    WRONG + "\nfiles = []\ntry:\n    while len(files) < 5000: files.append(open('/dev/null'))\nexcept OSError: pass",
)
