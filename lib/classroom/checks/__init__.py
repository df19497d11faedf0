"""What each chapter's checks are made of: call the student's function, judge what it returns, say what went wrong.

A check calls a function with plain data and looks at nothing but the value that comes back. It ends in one of two ways:
`passed` prints a line with what holds, or a `Mistake` is raised, which a notebook shows as a short message without a
traceback. Nothing is written to stderr: nbgrader gives no marks to a cell that writes there.
"""

import builtins
import contextlib
import sys
import textwrap
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from classroom.calling import Failure, copied, unchanged
from classroom.checks._tables import capital, difference, distance, index, numbers_are_shown, side_by_side, verb

WIDTH = 96  # of a line that a window of JupyterLab shows whole
BOLD, GREEN, PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[0m"  # JupyterLab's dark theme hides red, and bold green


def wrapped(text: str) -> str:
    """Long lines broken between words: JupyterLab breaks them wherever its window ends. Tables stay as they are."""
    lines = text.splitlines()
    return "\n".join(line if line.startswith("  ") else textwrap.fill(line, WIDTH) for line in lines)


class Mistake(AssertionError):
    """What a student is told about a wrong answer: the message alone, in notebooks, in feedback and in terminals."""

    def _render_traceback_(self) -> list[str]:
        """IPython shows these lines in place of the traceback."""
        first, *rest = str(self).splitlines() or [""]
        return [*f"{BOLD}✗ {wrapped(first)}{PLAIN}".splitlines(), *map(wrapped, rest)]


class Raised(Exception):
    """What the student's function raised where it runs apart from the check, in a sandbox."""

    def __init__(self, failure: Failure):
        self.failure = failure
        super().__init__(failure.words)


def passed(what: str) -> None:
    """Print in one line, or as many as it takes, what holds."""
    what = wrapped(what)
    coloured = sys.stdout.isatty() or type(sys.stdout).__module__ == "ipykernel.iostream"
    print(f"{GREEN}✓{PLAIN} {what}" if coloured else f"✓ {what}")


@contextlib.contextmanager
def quiet():
    """Silence warnings and send whatever is written to stderr to stdout; as `@quiet()` it wraps a whole check."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(sys.stdout):
        warnings.simplefilter("ignore")
        yield


def call(student: Callable, *args: Any, **kwargs: Any) -> Any:
    """Call the student's function on copies of `args` and return its value.

    Raises `Mistake` if the function is not written yet, raises an exception, returns nothing or changes an argument.
    """
    name = _name(student)
    if student is ... or student is None:
        raise Mistake("This exercise is not written yet.")
    if not callable(student):
        raise Mistake(f"The check needs your function, and found {_describe(student)} in its place.")
    own_args, own_kwargs = copied(args), copied(kwargs)
    try:
        with quiet():
            value = student(*own_args, **own_kwargs)
    except Mistake:
        raise
    except (Exception, SystemExit) as error:
        failure = error.failure if isinstance(error, Raised) else Failure.of(error)
        raise Mistake(_explain(failure, name, (*args, *kwargs.values()))) from None
    if value is None:
        raise Mistake(f"{name} returned nothing (None). Does its last line begin with `return`?")
    if getattr(student, "changed_its_arguments", False) or not unchanged((args, kwargs), (own_args, own_kwargs)):
        raise Mistake(
            f"{name} changed the data that it was given. Work on a copy: `x = x.clone()`, or `x = x + y` instead of "
            "`x += y`."
        )
    return value


def expect_tensor(value: Any, shape: tuple[int, ...], name: str = "the result") -> torch.Tensor:
    """Return `value` (a tensor, an array, a number or nested lists of them) as a float64 tensor of `shape`.

    Raises `Mistake` if it is something else, has another shape, or holds a number that is not a number.
    """
    numbers = _numbers(value, name)
    if tuple(numbers.shape) != tuple(shape):
        found = f"{capital(name)} {verb(name, 'has', 'have')} the shape {tuple(numbers.shape)}"
        raise Mistake(f"{found}. It should be {tuple(shape)}.")
    if numbers.isnan().any():
        where = index(numbers.isnan().nonzero()[0])
        found = f"{capital(name)} {verb(name, 'holds', 'hold')} NaN{where}"
        raise Mistake(f"{found}: was something divided by zero, or infinity by infinity?")
    return numbers


def judge(
    value: Any,
    right: Any,
    mistakes: Mapping[str, Any] | None = None,
    *,
    tolerance: float = 1e-5,
    name: str = "the result",
) -> None:
    """Return if `value` is `right`; otherwise raise the `Mistake` that explains it best.

    `right` and the values of `mistakes` (message -> what that mistake gives on the same input) are numbers, arrays,
    tensors, strings or lists of strings. Numbers agree if |value - right| <= tolerance * (1 + |right|) in each entry.
    A known mistake is named only if `value` agrees with it; if several do, the closest one is named.
    """
    if _is_text(right):
        _judge_text(value, right, mistakes or {}, name)
        return
    numbers, expected = _numbers(value, name), _numbers(right, "right")
    if distance(numbers, expected) <= tolerance:
        return
    distances = {message: distance(numbers, _numbers(wrong, message)) for message, wrong in (mistakes or {}).items()}
    closest = min(distances, key=distances.get, default=None)
    if closest is not None and distances[closest] <= tolerance:
        raise Mistake(closest + side_by_side(expected, numbers))
    expect_tensor(value, tuple(expected.shape), name)
    raise Mistake(difference(expected, numbers, tolerance, name) + _hint_on_type(value, expected))


def judge_all(
    values: list, rights: list, mistakes: Mapping[str, list] | None = None, *, tolerance: float = 1e-5, names: list[str]
) -> None:
    """As `judge`, for several inputs at once: `mistakes` gives for each message what that mistake gives on each input.

    A mistake is named if it explains every answer, so that two which look the same on one input are told apart by
    another. `names` says what each answer is called.
    """
    for value, right, name in zip(values, rights, names, strict=True):
        if _agree(value, right, tolerance):
            continue
        for message, wrongs in (mistakes or {}).items():
            if all(_agree(value, wrong, tolerance) for value, wrong in zip(values, wrongs, strict=True)):
                judge(
                    value,
                    right,
                    {f"{message}\n  Seen in {name}.": wrongs[names.index(name)]},
                    tolerance=tolerance,
                    name=name,
                )
        judge(value, right, tolerance=tolerance, name=name)


def _agree(value: Any, right: Any, tolerance: float) -> bool:
    try:
        judge(value, right, tolerance=tolerance)
    except Mistake:
        return False
    return True


def choice(answer: Any, right: str, reasons: Mapping[str, str]) -> None:
    """Mark a self-check question. `reasons` says of each choice, wrong or right, why it is so."""
    if answer is ... or answer is None:
        raise Mistake("Not answered yet.")
    letter = answer.strip().lower() if isinstance(answer, str) else answer
    if not isinstance(letter, str) or letter not in reasons:
        allowed = ", ".join(f'"{letter}"' for letter in reasons)
        raise Mistake(f"The answer is one of {allowed}; found {_describe(answer)}.")
    if letter != right:
        raise Mistake(f"Not {letter}: {reasons[letter]}")
    passed(f"{letter}: {reasons[letter]}")


def _name(student: Any) -> str:
    name = getattr(student, "__name__", "")
    return name if isinstance(name, str) and name.isidentifier() else "Your function"


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _describe(value: Any) -> str:
    if isinstance(value, torch.Tensor | np.ndarray):
        return f"{'a tensor' if isinstance(value, torch.Tensor) else 'an array'} of shape {tuple(value.shape)}"
    if isinstance(value, list | tuple) and _begins_with_a_tensor(value):
        return f"a {type(value).__name__} of {len(value)}, the first {_describe(value[0])}"
    if isinstance(value, bool | int | float | str | list | tuple | dict | None) and numbers_are_shown():
        return _short(repr(value), 60)
    return f"a {type(value).__name__}"


def _begins_with_a_tensor(value: Any) -> bool:
    """Whether a list of tensors, or of lists of them, would be shown as a page of numbers."""
    if isinstance(value, list | tuple) and value:
        return _begins_with_a_tensor(value[0])
    return isinstance(value, torch.Tensor | np.ndarray)


def _explain(failure: Failure, name: str, args: tuple) -> str:
    """What happened inside the student's function, and on which of its lines."""
    if failure.unwritten:
        inner = failure.inner or name
        what = f"{name} is" if inner in (name, "<lambda>") else f"{name} calls {inner}, which is"
        return f"{what} not written yet: replace `raise NotImplementedError()` with your code."
    line = f"\n  on line {failure.line}: {_short(failure.code, 100)}" if failure.code else ""
    if not numbers_are_shown():  # an error's words may hold what the function was given
        kind = failure.kind if hasattr(builtins, failure.kind) else "an error"
        return f"{name} stopped with {kind}{line}" if failure.inner else f"{name} can't be called as the exercise asks."
    given = f"\n  called with: {'; '.join(map(_describe, args))}" if args else ""
    if not failure.inner:
        return f"{name} can't be called as the exercise asks: {failure.words}.{given}"
    words = _short((failure.words.splitlines() or [""])[0], 200)
    return f"{name} stopped with {failure.kind}{': ' if words else ''}{words}{line}{given}"


def _numbers(value: Any, name: str) -> torch.Tensor:
    """`value` as a float64 tensor. Only plain data is taken, so that nothing of the student's code runs here."""
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
        return torch.as_tensor(np.array(value, dtype=np.float64))
    if isinstance(value, torch.Tensor) and not value.is_complex():
        return value.detach().cpu().to_dense().to(torch.float64)
    if isinstance(value, bool | int | float):
        return torch.tensor(float(value), dtype=torch.float64)
    if isinstance(value, list | tuple):
        rows = [_numbers(row, name) for row in value]
        if len({row.shape for row in rows}) > 1:
            raise Mistake(f"{capital(name)} is a {type(value).__name__} whose items have different shapes.")
        return torch.stack(rows) if rows else torch.zeros(0, dtype=torch.float64)
    if value is ... or value is None:
        raise Mistake(f"{capital(name)} is missing: found {value!r}.")
    raise Mistake(f"{capital(name)} should be a tensor of real numbers; found {_describe(value)}.")


def _hint_on_type(value: Any, expected: torch.Tensor) -> str:
    if not isinstance(value, torch.Tensor):
        return ""
    if value.dtype in (torch.float16, torch.bfloat16):
        return f"\n  Your tensor is {value.dtype}, which keeps three digits: compute in torch.float32."
    if not value.is_floating_point() and bool((expected != expected.round()).any()):
        return f"\n  Your tensor is {value.dtype}, which holds whole numbers only: compute in torch.float32."
    return ""


def _is_text(right: Any) -> bool:
    return isinstance(right, str) or (isinstance(right, list | tuple) and bool(right) and isinstance(right[0], str))


def _judge_text(value: Any, right: Any, mistakes: Mapping[str, Any], name: str) -> None:
    def plain(text: Any) -> Any:
        return list(text) if isinstance(text, list | tuple) else text

    if not isinstance(value, str | list | tuple):
        kind = "a string" if isinstance(right, str) else "a list of strings"
        raise Mistake(f"{capital(name)} should be {kind}; found {_describe(value)}.")
    if plain(value) == plain(right):
        return
    for message, wrong in mistakes.items():
        if plain(value) == plain(wrong):
            raise Mistake(message)
    if not numbers_are_shown():
        raise Mistake(f"{capital(name)} {verb(name)} wrong.")
    they = verb(name, "It", "They")
    raise Mistake(f"{capital(name)} {verb(name)} {_describe(value)}. {they} should be {_describe(right)}.")
