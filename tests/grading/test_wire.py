"""The wire: plain data comes out as it went in, and hostile bytes are refused with the reason."""

import json
import math
import random
import socket
import threading
import time

import numpy as np
import pytest
import torch

from classroom.calling import unchanged
from classroom.grade.wire import (
    ARRAYS,
    HEADER,
    OURS,
    TENSORS,
    Bounds,
    Gone,
    Late,
    Line,
    Opaque,
    Reader,
    WireError,
    Writer,
)

PLAIN = [
    None,
    True,
    False,
    0,
    -7,
    2**62,
    -(2**63),
    2**63,
    10**300,
    1.5,
    -0.0,
    float("inf"),
    5e-324,
    "",
    "Ω\ud800🙂",
    "a" * 5000,
    ...,
    2 - 3j,
    b"bytes\0",
    torch.float16,
    [],
    (),
    {},
    set(),
    frozenset({1}),
    [1, [2.0, ("x", None)]],
    {"a": [1], 2: (3,)},
]


def there_and_back(value, bounds=OURS):
    """Through JSON text and one buffer, as on a real line."""
    writer = Writer(bounds=bounds)
    node = json.loads(json.dumps(writer.node(value)))
    return Reader(memoryview(b"".join(writer.raw)), bounds).value(node)


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: repr(value)[:20].encode("ascii", "replace").decode())
def test_plain_data_comes_out_as_it_went_in(value):
    back = there_and_back(value)
    assert back == value and type(back) is type(value)


def test_numbers_that_equal_nothing():
    assert math.isnan(there_and_back(float("nan")))
    assert math.copysign(1, there_and_back(-0.0)) == -1


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)])
def test_tensors(name, shape):
    tensor = (torch.rand(shape) * 100).to(TENSORS[name])
    back = there_and_back(tensor)
    assert back.dtype == tensor.dtype and back.shape == tensor.shape
    assert back.numel() == 0 or torch.equal(back.reshape(-1).view(torch.uint8), tensor.reshape(-1).view(torch.uint8))


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_and_single_numbers_of_numpy(kind):
    array = (np.random.default_rng(0).random((3, 2)) * 100).astype(kind)
    for value in (array, array.T, array[::2], array[0, 0], array[:0]):
        back = there_and_back(value)
        assert back.dtype == value.dtype and back.shape == value.shape
        assert type(back) is type(value) and np.array_equal(back, value)


def test_arrays_of_the_other_byte_order():
    assert there_and_back(np.array([1, 2], dtype=">i4")).tolist() == [1, 2]


def test_views_sparse_tensors_and_subclasses_come_as_their_numbers():
    grid = torch.arange(6.0).view(2, 3)
    for value in (grid.T, grid[:, ::2], grid.to_sparse(), torch.nn.Parameter(grid), torch.zeros(1).expand(2, 3)):
        back = there_and_back(value)
        assert type(back) is torch.Tensor and torch.equal(back, value.detach().to_dense())
    assert there_and_back(torch.nn.Parameter(grid)).requires_grad
    assert not there_and_back(grid).requires_grad
    greatest = there_and_back(grid.max(0))
    assert type(greatest) is tuple and torch.equal(greatest[1], torch.tensor([1, 1, 1]))


def test_several_tensors_in_one_value_are_not_mixed_up():
    value = {"a": [torch.ones(2), np.arange(3)], "b": (torch.zeros(1), b"xyz")}
    assert unchanged(value, there_and_back(value))


class Hostile:
    def __eq__(self, other):
        raise RuntimeError("never asked")

    __hash__ = __float__ = __array__ = __iter__ = __repr__ = __eq__


def test_an_object_comes_as_the_name_of_its_type():
    back = there_and_back([Hostile(), (x for x in ()), int])
    assert all(isinstance(item, Opaque) for item in back)
    assert [type(item).__name__ for item in back] == ["Hostile", "generator", "type"]
    assert type(there_and_back(type('<b>"\n', (), {})())).__name__ == "b"


SMALL = Bounds(json=1000, raw=64, nodes=20, depth=5, text=50, axes=3, digits=30)
TOO_MUCH = {
    "values": [[0] * 30],
    "nested": [[[[[[[[[0]]]]]]]]],
    "bytes of numbers": torch.zeros(9, dtype=torch.float64),
    "digits": 10**100,
}


@pytest.mark.parametrize("words", TOO_MUCH)
def test_what_is_too_large_is_not_sent(words):
    with pytest.raises(WireError, match=words):
        Writer(bounds=SMALL).node(TOO_MUCH[words])


def test_a_huge_view_of_one_number_is_refused_before_it_takes_memory():
    with pytest.raises(WireError, match="bytes of numbers"):
        Writer(bounds=Bounds()).node(torch.zeros(1).expand(10**6, 10**6))
    with pytest.raises(WireError, match="bytes of numbers"):
        Writer(bounds=Bounds()).node(np.broadcast_to(np.zeros(1), (10**6, 10**6)))


HOSTILE_NODES = [
    {},
    {"list": 3},
    {"list": [], "tuple": []},
    {"dict": [[1]]},
    {"dict": [[{"list": []}, 1]]},
    {"set": [{"list": []}]},
    {"dict": [[{"tensor": ["float32", [], 4, False]}, 1]]},
    {"int": "7x"},
    {"int": "9" * 10_000},
    {"int": 3},
    {"int": "--1"},
    {"complex": [1]},
    {"complex": ["1", "2"]},
    {"bytes": 100},
    {"bytes": -1},
    {"bytes": True},
    {"bytes": 1e3},
    {"dtype": "object"},
    {"dtype": "__class__"},
    {"__class__": 1},
    {"value": 1},
    {"_items": []},
    {"os.system": "true"},
    {"tensor": []},
    {"tensor": ["float32", [2], 8]},
    {"tensor": ["float32", [3], 8, False]},
    {"tensor": ["float32", [-2], 8, 0]},
    {"tensor": ["float32", [2**62, 2**62], 8, 0]},
    {"tensor": ["float32", "2", 8, 0]},
    {"tensor": ["float32", [True], 4, 0]},
    {"tensor": ["float32", [1] * 100, 4, 0]},
    {"tensor": ["float32", [2.0], 8, 0]},
    {"tensor": ["object", [1], 8, 0]},
    {"tensor": [None, [1], 8, 0]},
    {"tensor": ["float32", [2], 99, 0]},
    {"tensor": ["bool", [8], 8, 0]},
    {"array": ["O", [1], 8]},
    {"array": ["f8", [1], 8]},
    {"array": ["d", [2], 8]},
    {"array": ["", [1], 8]},
    {"array": ["V", [1], 8]},
    {"scalar": ["d", [1], 8]},
    {"array": ["?", [8], 8]},
    {"function": [0, "f"]},
    {"model": {}},
    {"opaque": "x", "list": []},
    2**70,
    {"list": [2**70]},
]


@pytest.mark.parametrize("node", HOSTILE_NODES, ids=lambda node: json.dumps(node)[:40])
def test_a_node_that_is_no_value_is_refused(node):
    with pytest.raises(WireError):
        Reader(memoryview(b"\x07" * 8)).value(node)


def test_random_nodes_and_bytes_give_a_value_or_a_named_error():
    draw = random.Random(0)
    kinds = [
        "list",
        "tuple",
        "set",
        "dict",
        "tensor",
        "array",
        "scalar",
        "int",
        "bytes",
        "complex",
        "dtype",
        "opaque",
        "x",
    ]

    def node(depth: int):
        choice = draw.random()
        if depth > 4 or choice < 0.4:
            return draw.choice(
                [None, True, 0, -1, 2**65, 1.5, float("nan"), "float32", "d", "", [], [1, 2], 8, [3], "9" * 50]
            )
        if choice < 0.8:
            return {draw.choice(kinds): node(depth + 1)}
        return [node(depth + 1) for _ in range(draw.randrange(5))]

    refused = 0
    for _ in range(20_000):
        try:
            Reader(memoryview(draw.randbytes(24)), SMALL).value(node(0))
        except WireError:
            refused += 1
    assert 5_000 < refused < 20_000, "some are values, most are not"


@pytest.fixture
def lines():
    ends = socket.socketpair()
    yield tuple(Line(end) for end in ends)
    for end in ends:
        end.close()


def test_messages_go_both_ways_also_large_ones(lines):
    here, there = lines
    raw = random.Random(0).randbytes(5_000_000)
    sender = threading.Thread(target=here.send, args=({"n": 1}, [raw[:10], raw[10:]]))
    sender.start()
    message, came = there.receive(30)
    sender.join()
    assert message == {"n": 1} and came == raw
    there.send({"n": 2})
    assert here.receive(5)[0] == {"n": 2}


BROKEN = {
    "an announced size beyond all bounds": HEADER.pack(2**32 - 1, 2**63),
    "more numbers than allowed": HEADER.pack(2, 2**40) + b"{}",
    "no JSON": HEADER.pack(5, 0) + b"hello",
    "JSON that is no object": HEADER.pack(2, 0) + b"[]",
    "JSON a hundred thousand deep": HEADER.pack(100_000, 0) + b"[" * 100_000,
    "bytes that are no text": HEADER.pack(4, 0) + b"\xff\xfe\xfd\xfc",
    "a number of a million digits": HEADER.pack(1_000_008, 0) + b'{"n": ' + b"9" * 1_000_001 + b"}",
}


@pytest.mark.parametrize("what", BROKEN)
def test_bytes_that_are_no_message_are_refused(lines, what):
    here, there = lines
    sender = threading.Thread(target=here.end.sendall, args=(BROKEN[what],))
    sender.start()
    with pytest.raises(WireError):
        there.receive(5)
    sender.join(5)


def test_who_says_nothing_or_little_by_little_is_late(lines):
    here, there = lines
    began = time.monotonic()
    with pytest.raises(Late):
        there.receive(0.2)
    here.end.send(HEADER.pack(100, 0) + b"{")
    with pytest.raises(Late):
        there.receive(0.2)
    assert time.monotonic() - began < 3


def test_who_is_gone_is_gone(lines):
    here, there = lines
    here.end.send(HEADER.pack(100, 0) + b"{")
    here.close()
    with pytest.raises(Gone):
        there.receive(1)
    with pytest.raises(Gone):
        there.send({})


def test_who_does_not_read_stops_nobody(lines):
    here, _ = lines
    with pytest.raises(Late):
        here.send({}, [bytes(10_000_000)], seconds=0.3)
