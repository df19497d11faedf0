"""Which answers of a class resemble each other more than the exercise explains: pairs for a person to judge.

An answer is cut into tokens, and each run of k tokens hashed; of each window of hashes the smallest is kept (winnowing:
Schleimer, Wilkerson and Aiken, 2003), so that a shared passage of at least k + window - 1 tokens is always seen.
Whatever stands in the released text or in the solution is left out, and so is what many of the class wrote. Two
measures are given: with names, comments and texts as they are, and with all names alike, which renaming can't change.

It is no verdict: short exercises have few good answers, and friends may have talked to each other.
"""

import hashlib
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import combinations

K, WINDOW = 7, 4
COMMON = 0.2  # a passage that more than this share of the class wrote says nothing
FEWEST = 4  # passages two answers must share to be shown
TOKENS_READ = 20_000
PAIRS_SHOWN = 200
TOKEN = re.compile(r"#[^\n]*|\"[^\"\n]*\"|'[^'\n]*'|[^\W\d]\w*|\d+(?:\.\d+)?|[^\w\s]")
KEYWORDS = {
    "def",
    "return",
    "for",
    "in",
    "if",
    "else",
    "elif",
    "while",
    "lambda",
    "not",
    "and",
    "or",
    "is",
    "None",
    "with",
}


@dataclass(frozen=True)
class Pair:
    """Two students' answers to one exercise: the share of passages that they share, as written and with names alike."""

    exercise: str
    one: str
    other: str
    as_written: float
    names_alike: float
    shared: int


def pairs(answers: dict[str, dict[str, str]], known: dict[str, list[str]], at_least: float = 0.5) -> list[Pair]:
    """The pairs that resemble each other by `at_least` so much, most alike first.

    `answers` are the students' by exercise; `known` gives for each exercise the texts that everybody has: the released
    one and the solution.
    """
    found = []
    for exercise, texts in answers.items():
        as_written = _compared(texts, known.get(exercise, []), alike=False)
        names_alike = _compared(texts, known.get(exercise, []), alike=True)
        for pair in as_written.keys() | names_alike.keys():
            exact, shared = as_written.get(pair, (0.0, 0))
            alike, also_shared = names_alike.get(pair, (0.0, 0))
            if max(exact, alike) >= at_least:
                found.append(Pair(exercise, *pair, exact, alike, max(shared, also_shared)))
    found.sort(
        key=lambda pair: (-pair.as_written - pair.names_alike, -pair.shared, pair.exercise, pair.one, pair.other)
    )
    return found


def fingerprints(source: str, alike: bool = False) -> set[int]:
    """The winnowed hashes of the runs of tokens in `source`, names made alike or not."""
    tokens = TOKEN.findall(source)[:TOKENS_READ]
    if alike:
        tokens = [_kind(token) for token in tokens if not token.startswith("#")]
    hashes = [_hash("\0".join(tokens[start : start + K])) for start in range(len(tokens) - K + 1)]
    return {min(hashes[start : start + WINDOW]) for start in range(max(1, len(hashes) - WINDOW + 1)) if hashes}


def _kind(token: str) -> str:
    if token[0] in "\"'":
        return "text"
    return "name" if (token[0].isalpha() or token[0] == "_") and token not in KEYWORDS else token


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest())


def _all_hashes(source: str, alike: bool) -> set[int]:
    """Every run's hash: a window beside new text may choose another than it chose in the text that is known."""
    tokens = TOKEN.findall(source)[:TOKENS_READ]
    if alike:
        tokens = [_kind(token) for token in tokens if not token.startswith("#")]
    return {_hash("\0".join(tokens[start : start + K])) for start in range(len(tokens) - K + 1)}


def _compared(texts: dict[str, str], known: list[str], alike: bool) -> dict[tuple[str, str], tuple[float, int]]:
    """For each pair that shares enough: the share of the smaller answer's own passages, and their number."""
    everybodys = set().union(*(_all_hashes(text, alike) for text in known)) if known else set()
    own = {student: fingerprints(text, alike) - everybodys for student, text in texts.items()}
    writers = Counter(print_ for prints in own.values() for print_ in prints)
    most = max(2, COMMON * len(texts))
    where = defaultdict(list)
    for student, prints in sorted(own.items()):
        for print_ in prints:
            if 2 <= writers[print_] <= most:
                where[print_].append(student)
    shared: Counter = Counter()
    for students in where.values():
        shared.update(combinations(students, 2))
    found = {}
    for (one, other), number in shared.items():
        smaller = min(len(own[one]), len(own[other]))
        if number >= FEWEST:
            found[one, other] = (number / smaller, number)
    return found
