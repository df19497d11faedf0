"""Right and wrong answers to the exercises of each chapter, one file a chapter, as students really give them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Exercise:
    """One exercise: its check, answers that must pass, and answers that must fail.

    Each wrong answer is (what is wrong with it, the answer, words that must stand in the message it gets).
    """

    check: Callable[..., None]
    right: list[Any]
    wrong: list[tuple[str, Any, str]]
