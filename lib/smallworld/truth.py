"""What is true of a sentence: which words decide its next word, which only tempt, and what would change it.

An explanation can be wrong in a way that nobody notices, because nobody knows the right one. Here the grammar wrote the
sentence, so it knows. *Evidence* is what decides the answer, given the question that the rest of the sentence asks: in
"The Eiffel Tower is located in the city of" the landmark is evidence, while "city" belongs to the question.
*Distractors* are words that vary just as freely and decide nothing. A *counterfactual* names a change of the evidence
and the answer that follows from it, which can be checked on the model: that is what makes the evidence known.

One family is an exception, and chapters 06 and 09 make use of it: in contrasted reviews the word of praise and the word
of blame always change places together, and the model learned to go by either. `smallworld.report` says how often.
"""

from __future__ import annotations

from dataclasses import dataclass

Span = tuple[int, int]


@dataclass(frozen=True)
class Counterfactual:
    """Replace these spans of the prompt, and the answer becomes `answer` (any of `accepted` is right)."""

    replacements: tuple[tuple[Span, str], ...]
    answer: str
    accepted: tuple[str, ...]


@dataclass(frozen=True)
class Sentence:
    """A prompt, the word that must follow it, and why. Spans are (start, end) positions of characters in the prompt.

    `answer` begins with a space where a space belongs before it, so that `prompt + answer` is the text. Where more than
    one answer is right (any later year will do), `accepted` lists all of them; otherwise it holds `answer` alone.
    """

    family: str
    prompt: str
    answer: str
    accepted: tuple[str, ...]
    evidence: tuple[Span, ...]
    distractors: tuple[Span, ...]
    counterfactuals: tuple[Counterfactual, ...]

    def words(self, spans: tuple[Span, ...]) -> list[str]:
        """The words that the spans cover, as they stand in the prompt."""
        return [self.prompt[start:end] for start, end in spans]

    def mask(self, tokenizer, spans: tuple[Span, ...]) -> list[bool]:
        """For each token of `tokenizer(sentence.prompt)`: does it overlap one of the spans?

        Works for any fast tokenizer, whatever pieces it cuts words into. Tokens which stand for no character, such as
        one that marks the start of the text, are False.
        """
        return token_mask(self.prompt, spans, tokenizer)

    def changed(self, counterfactual: Counterfactual) -> str:
        """The prompt after the counterfactual's replacements."""
        text = self.prompt
        for (start, end), new in sorted(counterfactual.replacements, reverse=True):
            text = text[:start] + new + text[end:]
        return text


def token_mask(text: str, spans: tuple[Span, ...], tokenizer) -> list[bool]:
    """For each token of `tokenizer(text)`: does it share a character, other than white space, with one of the spans?

    Raises ValueError for a span outside the text, and for a tokenizer that cannot tell its tokens' positions.
    """
    for start, end in spans:
        if not 0 <= start < end <= len(text):
            raise ValueError(f"the span ({start}, {end}) does not lie in a text of {len(text)} characters")
    if not getattr(tokenizer, "is_fast", False):
        raise ValueError("the tokenizer cannot tell where its tokens stand in the text: load it with use_fast=True")
    covered = {i for start, end in spans for i in range(start, end) if not text[i].isspace()}
    offsets = tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
    return [any(i in covered for i in range(start, end)) for start, end in offsets]
