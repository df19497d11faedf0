"""Patchscope: what does a hidden state mean to the model itself, when another prompt asks about it?

A prompt that makes the model put things into words ("hello is hello; Paris is Paris; x is") is run, and at one of its
positions the hidden state h'_m is replaced by h_l, taken from the text that is to be understood:

    h'_m[prompt_position] ← h_l[position]

What the model then says, it says about the hidden state. Ghandeharioun et al. 2024, "Patchscopes: A Unifying Framework
for Inspecting Hidden Representations of Language Models", section 3, with the identity as mapping, within one model.

What it can't tell you: what the state does in its own text. The words come from all layers above m, which may add what
they know of their own; the prompt has its favourites, so look at what it says unpatched; and a state put in at a layer
that it did not come from may mean nothing there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from glassbox.errors import InputError, ModelError, checked_index
from glassbox.models import anatomy
from glassbox.question import Question
from glassbox.residual import hidden_states, overwritten, recorded
from glassbox.text import encode, spell
from glassbox.trace import undisturbed

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(eq=False, repr=False)
class Patchscope:
    """What the model says at the prompt's end, with the hidden state in its place.

    logits:       of the next word, (vocabulary,), float32; unpatched: the same without the hidden state.
    continuation: the tokens that the model went on with, most probable first choice each time.
    """

    heading: str
    logits: torch.Tensor
    unpatched: torch.Tensor
    continuation: list[str]
    tokenizer: PreTrainedTokenizerBase | None

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """The k most probable next words, each with its probability."""
        probabilities, words = self.logits.softmax(-1).topk(k)
        return list(zip(spell(self.tokenizer, words.tolist()), probabilities.tolist(), strict=True))

    def __repr__(self) -> str:
        lines = [f"{probability:>8.3f}  {word!r}" for word, probability in self.top()]
        return "\n".join([self.heading, *lines, f"goes on with {''.join(self.continuation)!r}"])


def patchscope(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    text: str | torch.Tensor,
    prompt: str | torch.Tensor,
    *,
    layer: int,
    position: int = -1,
    prompt_layer: int | None = None,
    prompt_position: int = -1,
    new_tokens: int = 1,
) -> Patchscope:
    """What does the model say of hidden state `layer` of `text` at `position`, when `prompt` asks about it?

    text, prompt:     strings, or token ids (1, seq).
    layer:            0 (the embedding) to the number of blocks; prompt_layer: where it is put in, None for the same.
    position, prompt_position:  of the token read, and of the token overwritten; negative counts from the end.
    new_tokens:       how many words the model goes on for, each the most probable one.

    Raises InputError for a text, layer or position that can't be used, and for a prompt that leaves no room for the new
    tokens; ModelError for a model that is no decoder of the anatomy's table.
    """
    source = Question.ask(model, tokenizer, text, None, None, position, "logit")
    prompted = Question.ask(model, tokenizer, prompt, None, None, prompt_position, "logit")
    blocks = anatomy(model).blocks
    layer = checked_index("layer", layer, len(blocks) + 1)
    target_layer = layer if prompt_layer is None else checked_index("layer", prompt_layer, len(blocks) + 1)
    if not isinstance(new_tokens, int) or new_tokens < 1:
        raise InputError(f"new_tokens is {new_tokens!r}; allowed: 1 or more")
    if not model.can_generate():
        raise ModelError(f"{type(model).__name__} does not go on with a text; allowed: a decoder that predicts words")
    encode(model, tokenizer, torch.nn.functional.pad(prompted.ids, (0, new_tokens - 1)))  # refuses what is too long
    with undisturbed(model), torch.no_grad():
        with recorded(blocks) as seen:
            source.run()
        state = hidden_states(blocks, seen)[layer][0, source.position]  # (width,)
        unpatched = _next(prompted)
        patched, said = prompted, []
        with overwritten(blocks, target_layer, prompted.position, state):
            for _ in range(new_tokens):
                said.append(_next(patched))  # (vocabulary,)
                patched = replace(patched, ids=torch.cat([patched.ids, said[-1].argmax().reshape(1, 1)], dim=1))
    heading = f"patchscope: layer {layer} at {_place(source)}, put in at layer {target_layer}, {_place(prompted)}"
    words = spell(tokenizer, [int(logits.argmax()) for logits in said])
    return Patchscope(heading, said[0].cpu(), unpatched.cpu(), words, tokenizer)


def _next(question: Question) -> torch.Tensor:
    """The logits of the word after the whole text, (vocabulary,)."""
    everywhere = question.run(positions=range(question.ids.shape[1]))
    return question.logits(everywhere, row=-1)[0]


def _place(question: Question) -> str:
    token = spell(question.tokenizer, question.ids[0].tolist())[question.position]
    return f"token {question.position} {token!r}"
