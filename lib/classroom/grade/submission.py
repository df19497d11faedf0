"""What one student handed in for one chapter, as plain data: the answers and the student's own cells, and no more.

A submission is made by `intake` alone. It holds text only, within the bounds below, so that it can be kept as JSON,
sent to another machine and compared, and so that nothing of an upload but the words in its cells comes near the grader.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

CELLS = 1_000  # answers and extra cells together
CHARACTERS_A_CELL = 200_000
CHARACTERS = 2_000_000  # in all cells together
NOTES, CHARACTERS_A_NOTE = 100, 2_000


@dataclass(frozen=True)
class Extra:
    """A code cell of the student's own: it runs after the released code cell `after`, or first if that is ""."""

    after: str
    source: str


@dataclass(frozen=True)
class Submission:
    """The answers of `student` by grade id, their extra cells in the order of the notebook, and notes for a person.

    A released cell that the student changed is an extra behind it, so that the chapter's own cells always run too.
    An answer that was not found is missing from `answers`: the released cell stands in its place.
    """

    student: str
    chapter: str
    answers: dict[str, str]
    extras: tuple[Extra, ...] = ()
    notes: tuple[str, ...] = ()
    digest: str = field(default="")

    def __post_init__(self) -> None:
        if not self.digest:
            object.__setattr__(self, "digest", self._digest())

    def to_json(self) -> str:
        # ASCII: a lone surrogate in an answer survives, and can be written to any file.
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Submission":
        """The submission that `to_json` wrote. Raises `ValueError` for anything else."""
        kinds = {"student": str, "chapter": str, "answers": dict, "extras": list, "notes": list, "digest": str}
        data = fields(text, kinds)
        extras = tuple(Extra(**typed(extra, {"after": str, "source": str})) for extra in data.pop("extras"))
        submission = cls(**data | {"extras": extras, "notes": tuple(data["notes"])})
        submission.check()
        if submission.digest != submission._digest():
            raise ValueError("the submission is not the one that its digest was made from")
        return submission

    def check(self) -> None:
        """Raise `ValueError` if the submission is larger than the bounds, or holds anything but text."""
        sources = [*self.answers.values(), *(extra.source for extra in self.extras)]
        for text in (*sources, *self.answers, *self.notes):
            if not isinstance(text, str):
                raise ValueError(f"a submission holds text only, and here is {type(text).__name__}")
        if len(sources) > CELLS:
            raise ValueError(f"{len(sources)} cells; at most {CELLS} are allowed")
        if any(len(source) > CHARACTERS_A_CELL for source in sources):
            raise ValueError(f"a cell of more than {CHARACTERS_A_CELL} characters")
        if sum(map(len, sources)) > CHARACTERS:
            raise ValueError(f"more than {CHARACTERS} characters in all cells together")
        if len(self.notes) > NOTES or any(len(note) > CHARACTERS_A_NOTE for note in self.notes):
            raise ValueError(f"more than {NOTES} notes, or one of more than {CHARACTERS_A_NOTE} characters")

    def _digest(self) -> str:
        """A hash of all that the mark can depend on: the notes and the place of the file are not in it."""
        extras = [[extra.after, extra.source] for extra in self.extras]
        what = [self.student, self.chapter, self.answers, extras]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def fields(text: str, kinds: dict[str, type]) -> dict[str, Any]:
    """The object in `text` with exactly the fields of `kinds`. Raises `ValueError` for anything else."""
    try:
        data = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return typed(data, kinds)


def typed(data: Any, kinds: dict[str, Any]) -> dict[str, Any]:
    """`data` if it is an object with exactly the fields of `kinds`, each of its kind; otherwise `ValueError`."""
    if not isinstance(data, dict) or data.keys() != kinds.keys():
        raise ValueError(f"expected an object with {', '.join(kinds)}")
    for name, kind in kinds.items():
        if not isinstance(data[name], kind) or isinstance(data[name], bool):
            raise ValueError(f"{name} is {type(data[name]).__name__}, which is not allowed there")
    return data


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number here")
