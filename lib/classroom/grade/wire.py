"""Plain data as bytes and back, between the grader and the sandbox.

A message is a JSON text followed by raw bytes: numbers, texts and containers stand in the JSON, tensors and arrays in
the raw bytes behind it. Nothing is unpickled, evaluated or looked up by name. Whoever reads checks every count, depth,
type, shape and length against `Bounds` first, so that hostile bytes give a `WireError` that says what was wrong.
"""

import json
import math
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

HEADER = struct.Struct("!IQ")  # bytes of JSON, bytes behind it
TENSORS = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16)
    + (torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128)
}
ARRAYS = "?bBhHiIlLqQefdFD"
FLAT = (type(None), bool, float, str)
LARGEST_INTEGER = 2**63


class WireError(ValueError):
    """Bytes that are no message, or one outside of the bounds."""


class Gone(WireError):
    """The other side closed the connection."""


class Late(WireError):
    """Nothing complete arrived in time."""


@dataclass(frozen=True)
class Bounds:
    """What a message may hold at most."""

    json: int = 4_000_000
    raw: int = 16_000_000
    nodes: int = 100_000
    depth: int = 24
    text: int = 1_000_000
    axes: int = 8
    digits: int = 400


STUDENT = Bounds()  # what comes out of a sandbox
OURS = Bounds(json=64_000_000, raw=512_000_000, nodes=4_000_000, depth=64, text=16_000_000, digits=4000)


@dataclass
class Writer:
    """Makes JSON of values, and gathers the raw bytes. `special` may name what is not plain data; else it is opaque."""

    special: Callable[[Any, "Writer"], dict | None] = lambda value, writer: None
    bounds: Bounds = OURS
    raw: list[bytes] = field(default_factory=list)
    _nodes: int = 0
    _size: int = 0

    def node(self, value: Any, depth: int = 0) -> Any:
        """`value` as JSON. Only exact built-in types, tensors and arrays are looked into."""
        self._nodes += 1
        if self._nodes > self.bounds.nodes:
            raise WireError(f"more than {self.bounds.nodes} values")
        if depth > self.bounds.depth:
            raise WireError(f"nested more than {self.bounds.depth} deep")
        kind = type(value)
        if kind in FLAT:
            return value
        if kind is int:
            return self._integer(value)
        if kind in (list, tuple, set, frozenset):
            return {kind.__name__: [self.node(item, depth + 1) for item in value]}
        if kind is dict:
            return {"dict": [[self.node(key, depth + 1), self.node(item, depth + 1)] for key, item in value.items()]}
        if kind is complex:
            return {"complex": [value.real, value.imag]}
        if kind is bytes:
            return {"bytes": self._put(value)}
        if value is ...:
            return {"ellipsis": True}
        if isinstance(value, torch.dtype):
            return {"dtype": str(value).removeprefix("torch.")}
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        if isinstance(value, (np.ndarray, np.generic)):
            return self._array(value)
        if isinstance(value, (int, float, str)):
            return self._base_of(value)
        if isinstance(value, (list, tuple, dict)):
            return self.node(_container_of(value), depth)
        special = self.special(value, self)
        return {"opaque": kind.__name__[:60]} if special is None else special

    def _integer(self, value: int) -> Any:
        if -LARGEST_INTEGER <= value < LARGEST_INTEGER:
            return value
        if value.bit_length() > self.bounds.digits * 3.3:
            raise WireError(f"an integer of more than {self.bounds.digits} digits")
        return {"int": str(value)}

    def _base_of(self, value: Any) -> Any:
        """What is inside an instance of a subclass, whatever its own methods say."""
        if isinstance(value, str):
            return str.__str__(value)
        return self._integer(int.__int__(value)) if isinstance(value, int) else float.__float__(value)

    def _put(self, raw: bytes) -> int:
        self._size += len(raw)
        if self._size > self.bounds.raw:
            raise WireError(f"more than {self.bounds.raw} bytes of numbers")
        self.raw.append(raw)
        return len(raw)

    def _tensor(self, value: torch.Tensor) -> dict:
        with torch._C.DisableTorchFunctionSubclass():
            plain = value.detach().cpu()
            size = plain.numel() * plain.element_size()
            if self._size + size > self.bounds.raw:
                raise WireError(f"more than {self.bounds.raw} bytes of numbers")
            plain = plain.to_dense() if plain.layout != torch.strided else plain
            plain = plain.resolve_conj().resolve_neg().contiguous()
            name = str(plain.dtype).removeprefix("torch.")
            if name not in TENSORS:
                return {"opaque": f"tensor of {name}"[:60]}
            raw = plain.reshape(-1).view(torch.uint8).numpy().tobytes()
            return {"tensor": [name, list(plain.shape), self._put(raw), bool(value.requires_grad)]}

    def _array(self, value: np.ndarray | np.generic) -> dict:
        plain = np.asarray(value).view(np.ndarray)
        if plain.dtype.kind == "U" and plain.ndim == 0:
            return str(plain)
        if plain.dtype.char not in ARRAYS:
            return {"opaque": f"array of {plain.dtype.name}"[:60]}
        if self._size + plain.nbytes > self.bounds.raw:
            raise WireError(f"more than {self.bounds.raw} bytes of numbers")
        plain = np.ascontiguousarray(plain.astype(plain.dtype.newbyteorder("="))).reshape(plain.shape)
        form = "scalar" if isinstance(value, np.generic) else "array"
        return {form: [plain.dtype.char, list(plain.shape), self._put(plain.tobytes())]}


@dataclass
class Reader:
    """Values from JSON and raw bytes. `special` makes what `Writer.special` named; None refuses all such names."""

    raw: memoryview
    bounds: Bounds = STUDENT
    special: Callable[[str, Any, "Reader"], Any] | None = None
    _nodes: int = 0
    _place: int = 0

    def value(self, node: Any, depth: int = 0) -> Any:
        """The value that `node` stands for. Raises `WireError` for anything out of bounds."""
        self._nodes += 1
        if self._nodes > self.bounds.nodes:
            raise WireError(f"more than {self.bounds.nodes} values")
        if depth > self.bounds.depth:
            raise WireError(f"nested more than {self.bounds.depth} deep")
        if isinstance(node, str):
            if len(node) > self.bounds.text:
                raise WireError(f"a text of {len(node)} characters")
            return node
        if isinstance(node, FLAT):
            return node
        if isinstance(node, int):
            if not -LARGEST_INTEGER <= node < LARGEST_INTEGER:
                raise WireError("an integer that should have been written as text")
            return node
        if not isinstance(node, dict) or len(node) != 1:
            raise WireError("a node that is no value")
        ((kind, content),) = node.items()
        make = getattr(self, f"_read_{kind}", None) if kind.isidentifier() else None
        if make is not None:
            return make(content, depth)
        if self.special is None:
            raise WireError("a kind of value that is not allowed here")
        return self.special(kind, content, self)

    def _items(self, content: Any, depth: int) -> list:
        if not isinstance(content, list):
            raise WireError("a container without a list of items")
        return [self.value(item, depth + 1) for item in content]

    def _read_list(self, content: Any, depth: int) -> list:
        return self._items(content, depth)

    def _read_tuple(self, content: Any, depth: int) -> tuple:
        return tuple(self._items(content, depth))

    def _read_set(self, content: Any, depth: int) -> set:
        return set(map(_hashable, self._items(content, depth)))

    def _read_frozenset(self, content: Any, depth: int) -> frozenset:
        return frozenset(map(_hashable, self._items(content, depth)))

    def _read_dict(self, content: Any, depth: int) -> dict:
        if not isinstance(content, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in content):
            raise WireError("a dict without a list of pairs")
        return {_hashable(self.value(key, depth + 1)): self.value(item, depth + 1) for key, item in content}

    def _read_int(self, content: Any, depth: int) -> int:
        if not isinstance(content, str) or len(content) > self.bounds.digits or not content.lstrip("-").isdecimal():
            raise WireError("an integer that is none")
        try:
            return int(content)
        except ValueError:
            raise WireError("an integer that is none") from None

    def _read_complex(self, content: Any, depth: int) -> complex:
        if not _numbers(content, 2, float):
            raise WireError("a complex number that is none")
        return complex(*content)

    def _read_bytes(self, content: Any, depth: int) -> bytes:
        return bytes(self._take(content))

    def _read_ellipsis(self, content: Any, depth: int) -> Any:
        return ...

    def _read_dtype(self, content: Any, depth: int) -> torch.dtype:
        if not isinstance(content, str) or content not in TENSORS:
            raise WireError("a dtype that is not allowed")
        return TENSORS[content]

    def _read_opaque(self, content: Any, depth: int) -> Any:
        return opaque(content if isinstance(content, str) else "object")

    def _read_tensor(self, content: Any, depth: int) -> torch.Tensor:
        if not isinstance(content, list) or len(content) != 4 or not isinstance(content[0], str):
            raise WireError("a tensor without its four parts")
        name, shape, length, requires_grad = content
        if name not in TENSORS:
            raise WireError("a tensor of a dtype that is not allowed")
        dtype = TENSORS[name]
        raw = self._numbers(shape, length, torch.empty(0, dtype=dtype).element_size())
        if dtype is torch.bool and any(raw.translate(None, b"\0\1")):
            raise WireError("truth values that are neither 0 nor 1")
        tensor = torch.frombuffer(raw, dtype=dtype) if raw else torch.empty(0, dtype=dtype)
        tensor = tensor.reshape(shape)
        grows = requires_grad is True and (dtype.is_floating_point or dtype.is_complex)
        return tensor.requires_grad_() if grows else tensor

    def _read_array(self, content: Any, depth: int) -> np.ndarray:
        if not isinstance(content, list) or len(content) != 3 or not isinstance(content[0], str):
            raise WireError("an array without its three parts")
        name, shape, length = content
        if len(name) != 1 or name not in ARRAYS:
            raise WireError("an array of a dtype that is not allowed")
        dtype = np.dtype(name)
        raw = self._numbers(shape, length, dtype.itemsize)
        if name == "?" and any(raw.translate(None, b"\0\1")):
            raise WireError("truth values that are neither 0 nor 1")
        return np.frombuffer(raw, dtype=dtype).reshape(shape)

    def _read_scalar(self, content: Any, depth: int) -> np.generic:
        array = self._read_array(content, depth)
        if array.shape != ():
            raise WireError("a single number with a shape")
        return array[()]

    def _numbers(self, shape: Any, length: Any, itemsize: int) -> bytearray:
        if not isinstance(shape, list) or len(shape) > self.bounds.axes or not _numbers(shape, len(shape), int):
            raise WireError("a shape that is none")
        if any(size < 0 or size > self.bounds.raw for size in shape):
            raise WireError("a shape that is none")
        raw = self._take(length)
        if math.prod(shape) * itemsize != len(raw):
            raise WireError("a shape that does not fit its numbers")
        return bytearray(raw)

    def _take(self, length: Any) -> memoryview:
        if not isinstance(length, int) or isinstance(length, bool) or not 0 <= length <= len(self.raw) - self._place:
            raise WireError("more numbers are announced than came")
        self._place += length
        return self.raw[self._place - length : self._place]


def _container_of(value: list | tuple | dict) -> list | tuple | dict:
    """The items of an instance of a subclass, as torch.return_types.max or OrderedDict, whatever its methods say."""
    if isinstance(value, dict):
        return dict(dict.items(value))
    return list(list.__iter__(value)) if isinstance(value, list) else tuple(tuple.__iter__(value))


def _numbers(content: Any, count: int, kind: type) -> bool:
    return (
        isinstance(content, list)
        and len(content) == count
        and all(isinstance(number, (int, kind)) and not isinstance(number, bool) for number in content)
    )


def _hashable(value: Any) -> Any:
    kinds = (str, int, float, complex, bytes, tuple, frozenset, np.generic, torch.dtype, type(None), type(...))
    try:
        hash(value)
    except TypeError:
        raise WireError("a key that can't be one") from None
    if not isinstance(value, kinds):
        raise WireError("a key that can't be one")
    return value


class Opaque:
    """Something of the student's that is no plain data: here, nothing is known of it but the name of its type."""

    __slots__ = ()


def opaque(kind: str) -> Opaque:
    """An object whose type bears the name `kind`, and does nothing."""
    name = "".join(letter if letter.isalnum() or letter == "_" else " " for letter in kind)[:60].strip()
    return type(name or "object", (Opaque,), {"__slots__": ()})()


class Line:
    """One end of a connection over which messages go, each whole or not at all."""

    def __init__(self, end: socket.socket, bounds: Bounds = STUDENT):
        self.end, self.bounds = end, bounds

    def fileno(self) -> int:
        return self.end.fileno()

    def send(self, message: dict[str, Any], raw: list[bytes] | None = None, seconds: float = 60.0) -> None:
        """Send a JSON object and raw bytes. Raises `Gone` or `Late` if the other side doesn't take them."""
        text, raw = json.dumps(message).encode("ascii"), raw or []
        data = memoryview(HEADER.pack(len(text), sum(map(len, raw))) + text + b"".join(raw))
        deadline = time.monotonic() + seconds
        while data:
            self._wait(select.POLLOUT, deadline)
            try:
                data = data[self.end.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise Gone(f"the other side is gone ({error.strerror})") from None

    def receive(self, seconds: float) -> tuple[dict[str, Any], memoryview]:
        """The next message within `seconds`. Raises `Late`, `Gone`, or `WireError` for bytes that are none."""
        deadline = time.monotonic() + seconds
        of_text, of_raw = HEADER.unpack(self._exactly(HEADER.size, deadline))
        if of_text > self.bounds.json or of_raw > self.bounds.raw:
            raise WireError(f"a message of {of_text} + {of_raw} bytes")
        text = self._exactly(of_text, deadline)
        raw = self._exactly(of_raw, deadline)
        try:
            message = json.loads(bytes(text))
        except (ValueError, RecursionError):
            raise WireError("bytes that are no JSON") from None
        if not isinstance(message, dict):
            raise WireError("a message that is no object")
        return message, raw

    def close(self) -> None:
        self.end.close()

    def _exactly(self, count: int, deadline: float) -> memoryview:
        data, place = bytearray(count), 0
        while place < count:
            self._wait(select.POLLIN, deadline)
            try:
                came = self.end.recv_into(memoryview(data)[place:], 0, socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            except OSError as error:
                raise Gone(f"the other side is gone ({error.strerror})") from None
            if not came:
                raise Gone("the other side closed the connection")
            place += came
        return memoryview(data)

    def _wait(self, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(self.end, event)
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise Late("no answer in time")
