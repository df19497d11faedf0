"""The logit lens: what would the model predict, if it had to answer after each layer?

The residual stream has one shape from the embedding to the last layer, so what turns its end into logits can be applied
to any hidden state h_l of it (l = 0 is the embedding, l = L the last block's output):

    logits_l = W_U · norm(h_l)

with the model's own final norm and unembedding W_U (and its soft cap, in Gemma 2). For l = L these are the model's own
logits. nostalgebraist 2020, "interpreting GPT: the logit lens". Under a tuned lens, h_l first passes its layer's map.

Beware of transformers' `hidden_states[-1]`: it has passed the final norm already, and a second time spoils it. Here the
hidden states are taken from the blocks themselves.

What it can't tell you: what a layer knows. It shows what of it lies in the directions that the last layer's unembedding
reads, as if the layers between did nothing. Early layers often write in other directions: then the lens shows
nonsense (a tuned lens less of it), and that a word is not seen is no proof that it is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from glassbox.errors import InputError, ModelError, checked_index
from glassbox.models import anatomy
from glassbox.question import Question
from glassbox.residual import hidden_states, recorded
from glassbox.text import single_token, spell
from glassbox.trace import undisturbed

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from glassbox.reading.tuned_lens import TunedLens


def logit_lens(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    text: str | torch.Tensor,
    *,
    layers: Sequence[int] | None = None,
    positions: Sequence[int] | None = None,
    norm: bool = True,
    lens: TunedLens | None = None,
) -> LensReading:
    """What would the model predict after each layer, at each position?

    layers:     which hidden states to read, 0 (the embedding) to the number of blocks; None reads all.
    positions:  which tokens' predictions to read; None reads all. Negative numbers count from the end, in both.
    norm:       False leaves out the final norm: then scale and direction of the raw residual stream are read.
    lens:       a tuned lens of this model, see `glassbox.tuned_lens`.

    The result holds layers x positions x vocabulary numbers, so ask for less where the vocabulary is large.
    Raises InputError for layers or positions that are not there, and for a norm that can't be left out; ModelError for
    a model that is not in the anatomy's table, that predicts no words, or that the tuned lens was not trained for.
    """
    question = Question.ask(model, tokenizer, text, None, None, -1, "logit")
    parts = anatomy(model)
    if not norm and (lens is not None or parts.final_norm is None):
        why = "a tuned lens is trained with it" if lens is not None else f"{type(model).__name__} has none"
        raise InputError(f"the final norm can't be left out: {why}; allowed: norm=True")
    depth, seq = len(parts.blocks), question.ids.shape[1]
    layers = _checked("layer", layers, depth + 1)
    positions = _checked("position", positions, seq)
    with undisturbed(model), torch.no_grad():
        if lens is not None:
            lens.check(model)
        with recorded(parts.blocks) as seen:
            output = question.run(positions=range(seq))  # all, as fewer of them come out otherwise in the last bit
        question.logits(output, row=-1)  # refuses a model without a head, and numbers that are not finite
        if question.about_classes(output):
            raise ModelError(f"{type(model).__name__} predicts classes; a lens needs a model that predicts words")
        hidden = hidden_states(parts.blocks, seen)
        final = output.logits[0, positions]  # (position, vocabulary)
        final = final if final.dtype == torch.float64 else final.float()
        here = {layer: hidden[layer][0, positions] for layer in layers}  # each (position, width)
        if lens is not None:
            here = {layer: lens(layer, state) if layer < depth else state for layer, state in here.items()}
        stack = torch.stack([here[layer] for layer in layers])  # (layer, position, width)
        logits = parts.head(stack) if norm else parts.head(stack, norm=False)  # (layer, position, vocabulary)
        logits = logits.to(final.dtype)
        if norm:  # the last layer's reading is the model's own answer, to the last bit
            logits[[row for row, layer in enumerate(layers) if layer == depth]] = final
    name = "tuned lens" if lens is not None else "logit lens" if norm else "logit lens without norm"
    tokens = spell(tokenizer, question.ids[0].tolist())
    return LensReading(name, tokens, layers, positions, logits.cpu(), final.cpu(), tokenizer)


@dataclass(eq=False, repr=False)
class LensReading:
    """What a lens shows: for each layer and position a distribution over the vocabulary.

    tokens:     of the whole text; positions: the places of those that were read; layers: those that were read.
    logits:     (layer, position, vocabulary), at least float32, rows in the order of `layers` and `positions`.
    final:      the model's own logits, (position, vocabulary).
    """

    name: str
    tokens: list[str]
    layers: list[int]
    positions: list[int]
    logits: torch.Tensor
    final: torch.Tensor
    tokenizer: PreTrainedTokenizerBase | None

    def ranks(self, word: str | int | None = None) -> torch.Tensor:
        """The place of a word (a token or its id) among all words, from 1; (layer, position). Equals share the best.

        None asks at each position for the word that the model itself predicts there.
        """
        own = self.logits.gather(-1, self._numbers(word).expand(len(self.layers), -1)[..., None])
        return (self.logits > own).sum(-1) + 1  # (layer, position)

    def probabilities(self, word: str | int | None = None) -> torch.Tensor:
        """The word's probability, (layer, position); words as for `ranks`."""
        own = self.logits.gather(-1, self._numbers(word).expand(len(self.layers), -1)[..., None])[..., 0]
        return (own - self.logits.logsumexp(-1)).exp()

    def first_top(self, word: str | int | None = None) -> list[int | None]:
        """For each position the first of the layers at which the word is the top one, None if it never is."""
        top = (self.ranks(word) == 1).T.tolist()  # (position, layer)
        return [next((layer for layer, here in zip(self.layers, places, strict=True) if here), None) for places in top]

    def top(self, position: int = -1, k: int = 5) -> list[list[tuple[str, float]]]:
        """For each layer the k most probable words at the text's token `position`, each with its probability."""
        probabilities, words = self.logits[:, self._column(position)].softmax(-1).topk(k)  # (layer, k)
        return [
            list(zip(spell(self.tokenizer, ids), values, strict=True))
            for ids, values in zip(words.tolist(), probabilities.tolist(), strict=True)
        ]

    def divergence(self) -> torch.Tensor:
        """How far is each layer from the model's own answer? KL(final || layer) in nats, (layer, position)."""
        final, here = self.final.log_softmax(-1), self.logits.log_softmax(-1)
        return (final.exp() * (final - here)).sum(-1).clamp(min=0)  # rounding may leave it just below zero

    def plot(self, title: str | None = None) -> Figure:
        """Each layer's top word at each position, its probability as colour; the last layer stands on top."""
        from glassbox import grids  # matplotlib loads when something is drawn, not before

        probabilities, words = self.logits.softmax(-1).max(-1)  # (layer, position)
        return grids.layer_grid(
            probabilities,
            self.layers,
            [self.tokens[place] for place in self.positions],
            texts=[spell(self.tokenizer, row) for row in words.tolist()],
            title=title or f"The {self.name} at each layer",
            label="probability of the top word",
            columns="token",
        )

    def __repr__(self) -> str:
        position = self.positions[-1]
        lines = [f"{self.name} at token {position} {self.tokens[position]!r}"]
        for layer, words in zip(self.layers, self.top(position, 3), strict=True):
            shown = [f"{repr(word)[1:-1]:<14} {probability:.3f}" for word, probability in words]
            lines.append(f"layer {layer:>3}  {'   '.join(shown)}")
        return "\n".join(lines)

    def _numbers(self, word: str | int | None) -> torch.Tensor:
        """The word's id at each position, (position,)."""
        if word is None:
            return self.final.argmax(-1)
        if isinstance(word, str):
            number = single_token(self.tokenizer, word, "word")
        else:
            number = checked_index("word", word, self.logits.shape[-1])
        return torch.full((len(self.positions),), number)

    def _column(self, position: int) -> int:
        place = checked_index("position", position, len(self.tokens))
        if place not in self.positions:
            raise InputError(f"position {place} was not read; allowed: {', '.join(map(str, self.positions))}")
        return self.positions.index(place)


def _checked(what: str, chosen: Sequence[int] | None, length: int) -> list[int]:
    if chosen is None:
        return list(range(length))
    try:
        numbers = list(chosen)
    except TypeError:
        raise InputError(f"{what}s are {chosen!r}; allowed: a list of whole numbers, or None for all") from None
    if not numbers:
        raise InputError(f"no {what} is asked for; allowed: a list of {what}s, or None for all")
    return [checked_index(what, number, length) for number in numbers]
