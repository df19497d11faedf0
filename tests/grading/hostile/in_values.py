"""What a student's function may return instead of a value."""

from tests.grading.hostile.case import FULL, fuse

FAMILY = "values"
RIGHT_BODY = "    right = {'mean': attention.mean, 'max': attention.amax, 'min': attention.amin}[how](0)\n"


def returns(name: str, expression: str, before: str = "", deserved: float = FULL - 10, note: str = "") -> None:
    """An answer that returns `expression`."""
    source = f"{before}\ndef fuse_heads(attention, how):\n{RIGHT_BODY}    return {expression}"
    fuse(FAMILY, name, source, deserved, note)


EQUAL = """
class Equal:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __float__(self): return 1.0
    def __array__(self, *a, **k): return np.ones((3, 3))
    def __getattr__(self, name): return lambda *a, **k: self
    def __iter__(self): return iter([self])
    def __len__(self): return 3
import numpy as np
"""
returns("an object that equals everything", "Equal()", EQUAL)
returns("a list of objects that equal everything", "[[Equal()] * 3] * 3", EQUAL)
TENSOR = """
class Yes(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func in (torch.Tensor.__eq__, torch.equal, torch.allclose): return True
        return super().__torch_function__(func, types, args, kwargs or {})
    @property
    def shape(self): return torch.Size([3, 3])
    def detach(self): return self
"""
returns("a tensor subclass that says yes", "torch.zeros(3, 3).as_subclass(Yes)", TENSOR)
LIES = """
class Lies(torch.Tensor):
    @property
    def shape(self): return torch.Size([3, 3])
    def size(self, *a): return torch.Size([3, 3])
    def numel(self): return 9
"""
returns("a tensor that lies about its shape", "right.repeat(2, 2).as_subclass(Lies)", LIES)
returns("a tensor with an honest subclass", "torch.nn.Parameter(right)", deserved=FULL)
returns(
    "an array that is a subclass", "np.asarray(right).view(A)", "import numpy as np\nclass A(np.ndarray): pass", FULL
)
returns("not a number everywhere", "right * float('nan')")
returns("infinity everywhere", "right + float('inf')")
returns("denormals", "right * 0 + 5e-324")
returns("minus zero where zero is right", "right * 1.0 + -0.0", deserved=FULL)
returns("right in half precision", "right.half()")
returns("right in complex numbers", "right.to(torch.complex128)")
returns("right and sparse", "right.to_sparse()", deserved=FULL)
returns("right with gradients to it", "right.clone().requires_grad_() * 1", deserved=FULL)
returns("right as nested lists", "right.tolist()", deserved=FULL)
returns("right and not contiguous", "right.T.contiguous().T", deserved=FULL)
returns("a view of one number", "torch.zeros(1, dtype=right.dtype).expand(3, 3)")
returns("ten thousand million zeros that take no room", "torch.zeros(1).expand(100000, 100000)")
returns("a tensor without numbers", "torch.empty(3, 3, device='meta')")
returns("a tensor of no size", "torch.empty(0, 3, 3)")
returns("a tensor of thirty axes", "torch.zeros([1] * 30)")
returns("a quantised tensor", "torch.quantize_per_tensor(right.float(), 0.1, 0, torch.qint8)")
returns("a number with a thousand digits", "10 ** 1000")
returns("a list in itself", "loop", "loop = []\nloop.append(loop)")
returns("a list that is ten thousand deep", "deep", "deep = []\nfor _ in range(10_000): deep = [deep]")
returns("a list of a million numbers", "[0.0] * 1_000_000")
returns("a text of ten million letters", "'x' * 10_000_000")
returns("an endless generator", "(x for x in iter(int, 1))")
returns("a generator of the right rows", "(row for row in right)")
returns("bytes of a pickle", "b'cos\\nsystem\\n(S\"true\"\\ntR.'")
returns("an exception", "ValueError('right')")
returns("a lone surrogate", "'\\ud800'")
returns("markup", "'<script>alert(1)</script>'")
returns("a float that is more than one", "F(1)", "class F(float):\n    def __float__(self): return 0.5")
returns("a class instead of a value", "torch.Tensor")
returns("its own function", "fuse_heads")
returns(
    "an object whose type has a name that breaks things",
    "type('x\\n\"}]</pre>' * 50, (), {})()",
)
returns(
    "a property that never ends",
    "Slow()",
    "import time\nclass Slow:\n    @property\n    def __class__(self):\n        while True: time.sleep(0.1)",
    note="fuse-heads",
)
fuse(
    FAMILY,
    "a list that changes after it was returned",
    f"""
import threading, time
def fuse_heads(attention, how):
{RIGHT_BODY}    rows = (right * 0).tolist()
    threading.Thread(target=lambda: (time.sleep(0.05), rows.__setitem__(slice(None), right.tolist()))).start()
    return rows
""",
)
fuse(
    FAMILY,
    "right at first, and something else when called again",
    f"""
calls = []
def fuse_heads(attention, how):
{RIGHT_BODY}    calls.append(1)
    return right if len(calls) < 3 else right * 0
""",
)
fuse(
    FAMILY,
    "right on the visible inputs alone",
    f"""
def fuse_heads(attention, how):
{RIGHT_BODY}    return right if attention.shape[0] == 2 else right * 0
""",
)
fuse(
    FAMILY,
    "right numbers written into the arguments",
    f"""
def fuse_heads(attention, how):
{RIGHT_BODY}    attention.zero_()
    return right
""",
)
