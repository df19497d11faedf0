"""What came of one submission: scores, messages and outputs as plain data, in a file that is whole or not there.

A result is made from what untrusted code returned, so every bound is checked when it is made, written and read: no
score above the points of its cell, nothing that is not a finite number, no text without an end.
"""

import json
import math
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, get_args

from classroom.grade.submission import NOTES, fields, typed

Status = Literal["graded", "failed", "timed_out", "not_graded"]
CELLS = 2_000
CHARACTERS_A_MESSAGE = 4_000
CHARACTERS_AN_OUTPUT = 20_000
CHARACTERS = 2_000_000  # in all outputs together
BYTES = 16_000_000


@dataclass(frozen=True)
class Score:
    """What a graded cell is worth: `points` of `max`, None where a person decides, and what the student is told."""

    points: float | None
    max: float
    message: str = ""


@dataclass(frozen=True)
class Result:
    """What became of `student`'s submission with the digest `digest`.

    graded: every automatic cell was judged. failed, timed_out: the student's code stopped before its end; what could
    not be judged any more has 0 points with a message. not_graded: our side failed; there are no scores, never a 0.
    `outputs` are bounded texts by the released cell's id, or by `extra-N` for the submission's extra number N.
    `notes` are for the instructor. `course` is a hash of what it was judged by, which `classroom grade` fills in.
    """

    student: str
    chapter: str
    digest: str
    status: Status
    scores: dict[str, Score] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    course: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "notes", tuple(bounded(note, CHARACTERS_A_MESSAGE) for note in self.notes[:NOTES]))
        object.__setattr__(self, "outputs", _bounded_outputs(self.outputs))
        self.check()

    def check(self) -> None:
        """Raise `ValueError` if anything is out of its bounds."""
        if self.status not in get_args(Status):
            raise ValueError(f"no such status: {self.status!r}")
        if self.status == "not_graded" and self.scores:
            raise ValueError("a submission that was not graded has no scores")
        if len(self.scores) > CELLS:
            raise ValueError(f"{len(self.scores)} scores; at most {CELLS} are allowed")
        if not _is_number(self.seconds) or self.seconds < 0:
            raise ValueError(f"{self.seconds!r} is no number of seconds")
        for name, score in self.scores.items():
            if not isinstance(name, str) or not isinstance(score.message, str):
                raise ValueError("a score has a name and a message that are text")
            if not _is_number(score.max) or score.max < 0:
                raise ValueError(f"{name}: {score.max!r} is no number of points")
            if score.points is not None and not (_is_number(score.points) and 0 <= score.points <= score.max):
                raise ValueError(f"{name}: {score.points!r} of {score.max:g} points is not possible")
            if len(score.message) > CHARACTERS_A_MESSAGE:
                raise ValueError(f"{name}: a message of more than {CHARACTERS_A_MESSAGE} characters")

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Result":
        """The result that `to_json` wrote. Raises `ValueError` for anything else."""
        kinds = {"student": str, "chapter": str, "digest": str, "status": str, "scores": dict, "outputs": dict}
        data = fields(text, kinds | {"notes": list, "seconds": (int, float), "course": str})
        if not all(isinstance(text, str) for text in (*data["outputs"].values(), *data["notes"])):
            raise ValueError("outputs and notes are text")
        of_a_score = {"points": (int, float, type(None)), "max": (int, float), "message": str}
        scores = {name: Score(**typed(score, of_a_score)) for name, score in data["scores"].items()}
        return cls(**data | {"scores": scores, "notes": tuple(data["notes"])})

    def write(self, path: Path) -> None:
        """Put the result at `path`, and on the disk, at once: whoever is killed leaves the old file or the new one."""
        self.check()
        write_whole(path, self.to_json())

    @classmethod
    def read(cls, path: Path) -> "Result":
        """The result at `path`. Raises `ValueError` if it is none, `FileNotFoundError` if nothing is there."""
        with open(path, encoding="ascii") as file:
            text = file.read(BYTES + 1)
        if len(text) > BYTES:
            raise ValueError(f"{path.name} is larger than {BYTES} bytes")
        return cls.from_json(text)


def bounded(text: str, longest: int) -> str:
    """`text`, cut to `longest` characters with a word that says so."""
    note = "… (shortened)"
    return text if len(text) <= longest else text[: longest - len(note)] + note


def write_whole(path: Path, text: str | bytes, durable: bool = True) -> None:
    """Replace the file at `path` in one step; on any error the old one stays. Its bytes are on the disk by then.

    A file that can be made again need not be `durable`: then only a loss of power could leave it empty.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(unfinished, "wb") as file:
            file.write(text.encode("utf-8", "replace") if isinstance(text, str) else text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _bounded_outputs(outputs: dict[str, str]) -> dict[str, str]:
    left, kept = CHARACTERS, {}
    for name, text in list(outputs.items())[:CELLS]:
        kept[name] = bounded(text, max(20, min(CHARACTERS_AN_OUTPUT, left)))
        left -= len(kept[name])
    return kept
