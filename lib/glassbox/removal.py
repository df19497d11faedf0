"""Taking tokens away: what is the explained scalar f of a text when only some of its tokens are kept?

Every method that removes words and watches the prediction asks this, and so does every test of faithfulness. There
are three ways to take a token away, and they give different answers, so an explanation has to say which one it used:

    delete   the token is gone, and the text closes up: what follows moves one position ahead
    replace  another token stands in its place: the mask, unknown or padding token, or one that the caller names
    mask     the token stays in its place, but no token may look at it

A causal model computes a token's keys and values from that token and those before it. So all variants of a text share
them up to the first token that was taken away: they are computed once, and each variant is run from there on.

What none of the three can tell you: what the model would do on a text that a person would have written without the
word. Each makes texts that the model has hardly seen, and part of the change in f is its surprise at that. Masking
leaves the token at the explained position its own path through the residual stream.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from itertools import takewhile
from typing import TYPE_CHECKING

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from glassbox.errors import InputError
from glassbox.question import Question
from glassbox.text import single_token
from glassbox.trace import undisturbed

if TYPE_CHECKING:
    from transformers.modeling_outputs import ModelOutput

HOW = ("delete", "replace", "mask")
MEMORY = 2**29  # bytes that a batch may take by default
WASTE = 128  # tokens that a batch may compute in vain before another run is cheaper


def values_without(
    question: Question,
    kept: torch.Tensor,
    how: str = "delete",
    replacement: str | int | None = None,
    batch_size: int | None = None,
) -> torch.Tensor:
    """The explained scalar f of each variant of the text, (variant,); the question must be settled.

    kept:         which tokens each variant keeps, bool (variant, seq).
    how:          "delete", "replace" or "mask", see above.
    replacement:  for "replace": a token, as a string or its id; else the tokenizer's mask, unknown or padding token.
    batch_size:   how many variants the model sees at a time; by default as many as fit in half a gigabyte.

    After deleting, f is read at the last kept token at or before the question's position. If there is none (for "mask":
    none left to look at), the text becomes the tokenizer's start token.
    Raises InputError for options that can't be used, and where the tokenizer lacks the token that is needed.
    """
    _check(question, kept, how, replacement, batch_size)
    substitute = replacement_id(question, replacement) if how == "replace" else None
    with undisturbed(question.model), torch.no_grad():
        reader = _Reader(question)
        kept = kept.to(question.ids.device)[:, : reader.seen]
        kept, back = kept.unique(dim=0, return_inverse=True)  # those that change first come first
        values, places = [], []
        for alike, length, read in _alike(kept, how, reader.position):
            # What comes before the first change is shared, (variant,); one token at least is run.
            shared = kept[alike].cumprod(1).sum(1).clamp(max=max(0, min(reader.cached, length - 1))).tolist()
            most = 1 if reader.one_by_one else batch_size or reader.batch_size(length)
            for batch in _batches(shared, most):
                ids, mask = _texts(question, kept[alike[batch]], length, how, substitute)  # (variant, length)
                values.append(reader.values(ids, mask, shared[batch.start], read))
                places.append(alike[batch])
    return torch.cat(values)[torch.cat(places).argsort()][back]


def removable(question: Question) -> torch.Tensor:
    """Which tokens are words of the text, bool (seq,): not those that the tokenizer adds around each text."""
    words = torch.ones(question.ids.shape[1], dtype=torch.bool, device=question.ids.device)
    added = set() if question.tokenizer is None else set(question.tokenizer("")["input_ids"])
    ids = question.ids[0].tolist()
    for places in (range(len(ids)), reversed(range(len(ids)))):
        for place in takewhile(lambda place: ids[place] in added, places):
            words[place] = False
    return words


class _Reader:
    """Reads f from texts of one length, and keeps what the variants of one text need not compute again."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.position, self.seen = question.position, question.ids.shape[1]  # later tokens than `seen` can't change f
        self.last = {}  # asks for the last position's logits alone
        self.past, self.cached, self.one_by_one = None, 0, False
        if callable(question.target):  # a function may look at any part of the output, and has no position
            self.position = self.seen - 1
            return
        model = question.model
        accepted = inspect.signature(model.forward).parameters
        ids = question.ids[:, :1]  # one token shows what an encoder's head predicts
        if {part.is_causal for part in model.modules() if hasattr(part, "is_causal")} == {True}:
            self.seen = question.position + 1
            ids = question.ids[:, : self.seen]
            self.last = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
            self.past = DynamicCache() if "past_key_values" in accepted else None
        output = self._run(ids, torch.ones_like(ids), self.past)
        if self.past is not None and all(type(layer) is DynamicLayer for layer in self.past.layers):
            self.cached = min((layer.get_seq_length() for layer in self.past.layers), default=0)
        if question.about_classes(output):
            self.position, self.seen = question.ids.shape[1] - 1, question.ids.shape[1]
            # The head of a causal model looks for the last token that is no padding, or takes one text at a time.
            self.one_by_one = model.config.pad_token_id is None
            self.cached = self.cached if self.one_by_one else 0

    def values(self, ids: torch.Tensor, mask: torch.Tensor, shared: int, read: int) -> torch.Tensor:
        """f of each text, (variant,), read at `read`. ids, mask: (variant, length); the first `shared` are cached."""
        past = None
        if shared:
            past = DynamicCache()
            for number, layer in enumerate(self.past.layers):
                keys, values = (  # (variant, head, shared, width)
                    states[:, :, :shared].expand(len(ids), -1, -1, -1) for states in (layer.keys, layer.values)
                )
                past.update(keys, values, number)
        output = self._run(ids[:, shared:], mask, past)
        return self.question.values(output, -1 if self.last else read - shared)

    def batch_size(self, length: int) -> int:
        """How many texts of this length may take MEMORY bytes, of activations, attention, cache and logits together."""
        model, config = self.question.model, self.question.model.config.get_text_config()
        embedding = model.get_input_embeddings().weight
        vocabulary, width = embedding.shape
        heads, layers = config.num_attention_heads, config.num_hidden_layers
        logits = 0 if self.last or model.get_output_embeddings() is None else 2 * vocabulary
        numbers = length * (24 * width + 4 * heads * length + 2 * layers * width + logits)
        return 1 + MEMORY // (1 + numbers * embedding.element_size())

    def _run(self, ids: torch.Tensor, mask: torch.Tensor, past: DynamicCache | None) -> ModelOutput:
        inputs = dict(self.last) if past is None else self.last | {"past_key_values": past}
        if self.question.model.config.model_type == "opt":  # left alone, it counts only positions that the mask keeps
            inputs["position_ids"] = torch.arange(mask.shape[1] - ids.shape[1], mask.shape[1], device=ids.device)[None]
        return self.question.model(input_ids=ids, attention_mask=mask, use_cache=past is not None, **inputs)


def _alike(kept: torch.Tensor, how: str, position: int) -> Iterator[tuple[torch.Tensor, int, int]]:
    """Variants of one length that are read at one place, so that no batch needs padding: (which, length, place).

    Where nothing is left, the length is 0.
    """
    if how == "delete":
        places = kept[:, : position + 1].sum(1) - 1
        lengths = kept.sum(1).where(places >= 0, 0)
    else:
        lengths = torch.full((len(kept),), kept.shape[1], device=kept.device)
        lengths = lengths.where(kept.any(1), 0) if how == "mask" else lengths
        places = torch.full_like(lengths, position).where(lengths > 0, -1)
    forms = torch.stack([lengths, places], dim=1)  # (variant, 2)
    for form in forms.unique(dim=0):
        yield (forms == form).all(1).nonzero()[:, 0], *form.tolist()


def _batches(shared: list[int], most: int) -> Iterator[slice]:
    """Neighbours for one run, at most `most` of them. All share what the first does, and compute the rest in vain."""
    first, waste = 0, 0
    for place, length in enumerate(shared):
        waste += length - shared[first]
        if place - first == most or waste > WASTE:
            yield slice(first, place)
            first, waste = place, 0
    yield slice(first, len(shared))


def _texts(
    question: Question, kept: torch.Tensor, length: int, how: str, substitute: int | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The variants' token ids, and which of them may be looked at; both (variant, length)."""
    ids = question.ids[:, : kept.shape[1]].expand(len(kept), -1)
    if length == 0:
        ids = torch.full((len(kept), 1), _start(question), device=ids.device)
    elif how == "delete":
        ids = ids[kept].view(len(kept), length)
    elif how == "replace":
        ids = ids.where(kept, substitute)
    return ids, kept.long() if how == "mask" and length else torch.ones_like(ids)


def _start(question: Question) -> int:
    """The token that stands for a text of which nothing is left."""
    for name in ("bos_token_id", "cls_token_id", "eos_token_id"):
        if (number := getattr(question.tokenizer, name, None)) is not None:
            return number
    raise InputError(
        "nothing is left of the text to read from, and the tokenizer has no start token (bos, cls or eos) that could "
        "stand for it; keep a token at or before the position, or take them away with how='replace'"
    )


def replacement_id(question: Question, replacement: str | int | None) -> int:
    """The id of the token that stands for what is replaced."""
    if isinstance(replacement, str):
        return single_token(question.tokenizer, replacement, "replacement")
    if replacement is None:
        # GPT-2 calls its end of text an unknown token: that would start a new text in the middle of this one.
        limits = [getattr(question.tokenizer, name, None) for name in ("bos_token_id", "eos_token_id")]
        for name in ("mask_token_id", "unk_token_id", "pad_token_id"):
            if (number := getattr(question.tokenizer, name, None)) is not None and number not in limits:
                return number
        raise InputError(
            "the tokenizer has no mask, unknown or padding token that could stand for what is removed; "
            "pass replacement=, a token as a string or its id"
        )
    vocabulary = question.model.get_input_embeddings().num_embeddings
    if isinstance(replacement, bool) or not isinstance(replacement, int) or not 0 <= replacement < vocabulary:
        raise InputError(f"replacement is {replacement!r}; allowed: a token, or its id from 0 to {vocabulary - 1}")
    return replacement


def _check(question: Question, kept: torch.Tensor, how: str, replacement: str | int | None, batch_size: int | None):
    seq = question.ids.shape[1]
    found = f"{kept.dtype} {tuple(kept.shape)}" if isinstance(kept, torch.Tensor) else f"a {type(kept).__name__}"
    if found != f"torch.bool {(len(kept) or 1, seq)}":
        raise InputError(f"kept is {found}; allowed: torch.bool (variant, {seq}), at least one variant")
    if how not in HOW:
        raise InputError(f"how={how!r} is no way to take a token away; allowed: {', '.join(map(repr, HOW))}")
    if replacement is not None and how != "replace":
        raise InputError(f"a replacement does not go with how={how!r}; allowed: how='replace'")
    if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
        raise InputError(f"batch_size is {batch_size!r}; allowed: a whole number from 1, or None")
