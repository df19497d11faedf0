"""The language of the small world: sentences held out for measuring, and texts for training."""

from __future__ import annotations

import re
from random import Random

from smallworld import world
from smallworld.families import FAMILIES
from smallworld.template import SLOT
from smallworld.truth import Sentence

GIVE_UP = 1000  # draws in a row that bring nothing new


def sample(family: str, n: int, seed: int) -> list[Sentence]:
    """`n` different sentences of a family which the model never saw: an unseen template or an unseen combination.

    Raises ValueError for an unknown family, and where the family does not have that many held-out sentences.
    """
    if family not in FAMILIES:
        raise ValueError(f"there is no family {family!r}; the families are {', '.join(FAMILIES)}")
    if n < 0:
        raise ValueError(f"cannot draw {n} sentences: n must be 0 or more")
    random, found, in_vain = Random(f"{family} {seed}"), {}, 0
    while len(found) < n:
        sentence = FAMILIES[family].held_out_sentence(random)
        in_vain = in_vain + 1 if sentence.prompt in found else 0
        if in_vain == GIVE_UP:
            raise ValueError(f"{family} has too few held-out sentences: {n} were asked for, {len(found)} found")
        found[sentence.prompt] = sentence
    return list(found.values())


def vocabulary() -> list[str]:
    """Every word that a text of this language can hold."""
    texts = _words_of_the_world()
    for family in FAMILIES.values():
        texts += [SLOT.sub(" ", template) for template in family.templates]
    return sorted({word for text in texts for word in re.findall(r"[^\W\d_]+", text)})


def _words_of_the_world() -> list[str]:
    words: list[str] = []

    def collect(value: object) -> None:
        if isinstance(value, str):
            words.extend(value.split())
        elif isinstance(value, dict):
            for key, item in value.items():
                collect(key)
                collect(item)
        elif isinstance(value, (list, tuple, set, frozenset)):
            for item in value:
                collect(item)
        elif hasattr(value, "__dataclass_fields__"):
            collect(list(vars(value).values()))

    for name, value in vars(world).items():
        if name.isupper() and not name.startswith("_"):
            collect(value)
    return words
