"""Taking tokens away: what is the explained scalar f of a text when only some of its tokens are kept?

Every method that removes words and watches the prediction asks this, and so does every test of faithfulness. There
are three ways to take a token away, and they give different answers, so an explanation has to say which one it used:

    delete   the token is gone, and the text closes up: what follows moves one position ahead
    replace  another token stands in its place: the mask, unknown or padding token, or one that the caller names
    mask     the token stays in its place, but no token may look at it

Variants of one length are run together, and `glassbox.reader` says what they need not compute again.

What none of the three can tell you: what the model would do on a text that a person would have written without the
word. Each makes texts that the model has hardly seen, and part of the change in f is its surprise at that. Masking
leaves the token at the explained position its own path through the residual stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

import torch

from glassbox.errors import InputError
from glassbox.question import Question
from glassbox.reader import Reader
from glassbox.text import single_token
from glassbox.trace import undisturbed

HOW = ("delete", "replace", "mask")


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
        reader = Reader(question)
        kept = kept.to(question.ids.device)[:, : reader.seen]
        kept, back = kept.unique(dim=0, return_inverse=True)  # those that change first come first
        values, places = [], []
        for alike, length, read in _alike(kept, how, reader.position):
            # What comes before the first change is shared, (variant,); one token at least is run.
            shared = kept[alike].cumprod(1).sum(1).clamp(max=max(0, min(reader.cached, length - 1))).tolist()
            most = 1 if reader.one_by_one else batch_size or reader.batch_size(length)
            for batch in _batches(shared, most, reader.waste):
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


def _batches(shared: list[int], most: int, most_waste: int) -> Iterator[slice]:
    """Neighbours for one run. All reuse what the first can, so that those after it compute some tokens in vain."""
    first, waste = 0, 0
    for place, length in enumerate(shared):
        waste += length - shared[first]
        if place - first == most or waste > most_waste:
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
