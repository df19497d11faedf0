"""The two errors that glassbox raises by itself. Each message says what was wrong and what is allowed."""

from operator import index


class InputError(ValueError):
    """The text, target, position, option or array that the caller passed can't be used."""


class ModelError(RuntimeError):
    """The model can't be loaded, or can't give what the method needs."""


def checked_index(what: str, number: int, length: int) -> int:
    """`number` counted from the start, as Python counts, negative ones from the end; or InputError."""
    try:
        place = index(number)
    except TypeError:
        raise InputError(f"{what} is {number!r}; allowed: a whole number") from None
    if not -length <= place < length:
        raise InputError(f"there is no {what} {place}; allowed: {-length} to {length - 1}")
    return place % length
