"""What happens when a student's function is called: its arguments are copied and compared, and an error is put down.

It happens in the student's notebook, and while a class is graded in a sandbox where the checks are not: so this file
uses nothing of theirs, and an error becomes a `Failure`, which is plain data.
"""

import copy
import os
import traceback
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

TORCH = os.path.join(os.path.dirname(torch.__file__), "")


@dataclass(frozen=True)
class Failure:
    """An exception that the student's function raised, and where.

    `line` and `code` are the last line of the student's that it passed, 0 and "" if none is known; `inner` is the
    function that raised it, "" if the student's function could not even be called.
    """

    kind: str
    words: str
    line: int = 0
    code: str = ""
    inner: str = ""
    unwritten: bool = False

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        """The failure that `error`, caught by whoever called the student's function, tells of."""
        frames = traceback.extract_tb(error.__traceback__)[1:]
        words, unwritten = str(error), isinstance(error, NotImplementedError) and not str(error)
        if not frames:
            return cls(type(error).__name__, words, unwritten=unwritten)
        written = [frame for frame in frames if not frame.filename.startswith(TORCH)]  # not its decorators' frames
        home = os.path.dirname((written or frames)[0].filename)
        last = [frame for frame in frames if os.path.dirname(frame.filename) == home][-1]
        return cls(type(error).__name__, words, last.lineno or 0, last.line or "", frames[-1].name, unwritten)


def copied(value: Any) -> Any:
    """Copies of data. Models and tokenizers are handed over as they are."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(copied(item) for item in value)
    return copy.deepcopy(value) if isinstance(value, np.ndarray | set) else value


def unchanged(before: Any, after: Any) -> bool:
    """Is all data in `after` as it was in `before`?"""
    if isinstance(before, torch.Tensor):
        same_form = before.shape == after.shape and before.dtype == after.dtype
        return same_form and torch.allclose(before, after, rtol=0, atol=0, equal_nan=True)
    if isinstance(before, np.ndarray):
        return before.shape == after.shape and np.array_equal(before, after, equal_nan=before.dtype.kind in "fc")
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(unchanged(before[key], after[key]) for key in before)
    if type(before) in (list, tuple):
        return len(before) == len(after) and all(map(unchanged, before, after))
    return not isinstance(before, set | str | int) or before == after
