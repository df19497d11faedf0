"""Numbers as a student is shown them: where two tables differ, and both beside each other if they are small."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch

LARGEST = 6  # rows and columns of a table that is shown


_SHOWN = ContextVar("numbers are shown", default=True)


def numbers_are_shown() -> bool:
    """False while a hidden test runs: what it was tried on, and what is right there, is not for the student's eyes."""
    return _SHOWN.get()


@contextmanager
def without_numbers() -> Iterator[None]:
    """Messages name mistakes, and keep the numbers that were tried to themselves."""
    token = _SHOWN.set(False)
    try:
        yield
    finally:
        _SHOWN.reset(token)


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def verb(name: str, one: str = "is", many: str = "are") -> str:
    """`one` or `many`, whichever agrees with what `name` calls a result: "the logits of a model" are, a sum is."""
    head = re.split(r" (?:of|at|on|by|for|in|with|along|after|from|without|under|close|that|where) |,", name)[0]
    several = re.search(r"[^sui]s$", head) or " and " in head
    return many if several and not head.startswith(("what ", "who ")) else one


def index(position: Iterable[int]) -> str:
    """The words ` at [0, 2]`, or nothing for a number that stands alone."""
    places = ", ".join(str(int(place)) for place in position)
    return f" at [{places}]" if places else ""


def apart(value: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """|value - other| / (1 + |other|) of each entry; infinite where one of them is not a number."""
    relative = torch.where(value == other, 0.0, (value - other).abs() / (1 + other.abs()))
    return relative.nan_to_num(nan=float("inf"))


def distance(value: torch.Tensor, other: torch.Tensor) -> float:
    """How far apart the farthest entries are; infinite where the shapes differ."""
    if value.shape != other.shape:
        return float("inf")
    return float(apart(value, other).max()) if value.numel() else 0.0


def difference(expected: torch.Tensor, received: torch.Tensor, tolerance: float, name: str) -> str:
    """What is wrong with a table that is no known mistake: how many entries, and which one most."""
    off = apart(received, expected)
    worst = _largest(off)
    found, right = _digits(received[worst], expected[worst]), _digits(expected[worst], received[worst])
    if not numbers_are_shown():
        return f"{capital(name)} {verb(name)} wrong."
    if expected.dim() == 0:
        return f"{capital(name)} {verb(name)} {found}. It should be {right}."
    wrong = f"{int((off > tolerance).sum())} of {off.numel()} entries"
    tables = side_by_side(expected, received)
    return f"{capital(name)} {verb(name)} wrong in {wrong}, most{index(worst)}: {found} should be {right}.{tables}"


def side_by_side(expected: torch.Tensor, received: torch.Tensor) -> str:
    """Both tables, or of both the matrix with the largest difference; nothing if they are large."""
    if expected.shape != received.shape:
        return f"\n  expected shape {tuple(expected.shape)}, received {tuple(received.shape)}"
    if not numbers_are_shown():
        return ""
    where = ""
    if expected.dim() > 2:
        matrix = _largest(apart(received, expected))[:-2]
        where = index(matrix) if expected.shape[:-2].numel() > 1 else ""
        expected, received = expected[matrix], received[matrix]
    shape = torch.atleast_1d(expected).shape
    if max(shape) > LARGEST or 0 in shape:
        return ""
    decimals = _decimals(expected, received)
    left = [f"expected{where}", *_rows(expected, decimals)]
    right = ["received", *_rows(received, decimals)]
    width = max(map(len, left)) + 4
    return "".join(f"\n  {before:<{width}}{after}".rstrip() for before, after in zip(left, right, strict=True))


def _largest(off: torch.Tensor) -> tuple[int, ...]:
    return tuple(int(place) for place in np.unravel_index(int(off.argmax()), tuple(off.shape)))


def _digits(number: torch.Tensor, other: torch.Tensor) -> str:
    """As few decimals, two at least, as tell the two numbers apart."""
    return next(
        (f"{float(number):z.{n}f}" for n in range(2, 10) if f"{float(number):z.{n}f}" != f"{float(other):z.{n}f}"),
        f"{float(number):g}",
    )


def _decimals(expected: torch.Tensor, received: torch.Tensor) -> int:
    """As few decimals, two at least, as tell the two tables apart."""
    return next((n for n in range(2, 6) if _rows(expected, n) != _rows(received, n)), 6)


def _rows(table: torch.Tensor, decimals: int) -> list[str]:
    table = torch.atleast_2d(table)
    words = [[f"{number:z.{decimals}f}" for number in row] for row in table.tolist()]
    width = max(len(word) for row in words for word in row)
    return ["  ".join(f"{word:>{width}}" for word in row) for row in words]
