"""Sentence families: templates with slots, words drawn to fill them, and the truth that follows from both."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from smallworld.truth import Counterfactual, Sentence, Span

HELD_OUT_SHARE = 8  # one prompt in eight is never trained on, chosen by its checksum
SLOT = re.compile(r"\{(\w+)\}")


@dataclass
class Draw:
    """Words for the slots of one template, and what they make true.

    A slot's text may hold further slots. `evidence`, `distractors` and the keys of `changes` are names of slots; those
    which the template does not have are passed over. `changes` pairs new words for some slots with the answers that are
    right after the change, the first of them standing for all.
    """

    slots: dict[str, str]
    answers: tuple[str, ...]
    evidence: tuple[str, ...]
    distractors: tuple[str, ...] = ()
    changes: list[tuple[dict[str, str], tuple[str, ...]]] = field(default_factory=list)
    ending: str = "."


@dataclass(frozen=True)
class Family:
    """Sentences that ask one kind of question. The last of `templates` is never trained on.

    later:  more templates, of words that the others have, which only the last stages of the training read.
    """

    name: str
    templates: tuple[str, ...]
    draw: Callable[[Random, str], Draw]
    later: tuple[str, ...] = ()

    def training_text(self, random: Random, later: bool) -> tuple[str, int]:
        """A text for training, and the position of the character from which the prompt decides what follows."""
        templates = self.templates[:-1] + (self.later if later else ())
        while True:
            sentence, ending = self._sentence(random, random.choice(templates))
            if not held_out(sentence.prompt):
                return sentence.prompt + sentence.answer + ending, len(sentence.prompt)

    def held_out_sentence(self, random: Random) -> Sentence:
        """Half of the time from the template that is never trained on, half of the time an unseen combination."""
        if random.random() >= 0.5:
            for _ in range(100 * HELD_OUT_SHARE):  # a family may be so small that all of its combinations are seen
                sentence, _ = self._sentence(random, random.choice(self.templates[:-1]))
                if held_out(sentence.prompt):
                    return sentence
        return self._sentence(random, self.templates[-1])[0]

    def _sentence(self, random: Random, template: str) -> tuple[Sentence, str]:
        draw = self.draw(random, template)
        prompt, spans = fill(template, draw.slots)
        counterfactuals = tuple(
            Counterfactual(
                tuple((spans[slot], new) for slot, new in change.items() if slot in spans), answers[0], answers
            )
            for change, answers in draw.changes
        )
        sentence = Sentence(
            self.name,
            prompt,
            draw.answers[0],
            draw.answers,
            tuple(sorted(spans[slot] for slot in draw.evidence if slot in spans)),
            tuple(sorted(spans[slot] for slot in draw.distractors if slot in spans)),
            counterfactuals,
        )
        return sentence, draw.ending


def held_out(prompt: str) -> bool:
    return zlib.crc32(prompt.encode()) % HELD_OUT_SHARE == 0


def fill(template: str, slots: dict[str, str]) -> tuple[str, dict[str, Span]]:
    """The text of a template, and where in it each slot's words stand."""
    spans: dict[str, Span] = {}

    def write(piece: str, offset: int) -> str:
        text, last = "", 0
        for match in SLOT.finditer(piece):
            text += piece[last : match.start()]
            start = offset + len(text)
            text += write(slots[match[1]], start)
            spans[match[1]] = (start, offset + len(text))
            last = match.end()
        return text + piece[last:]

    return write(template, 0), spans


def two(random: Random, words) -> tuple[str, str]:
    first, second = random.sample(words, 2)
    return first, second


def another(random: Random, words, *taken: str) -> str:
    return random.choice([word for word in words if word not in taken])
