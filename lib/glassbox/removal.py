"""Taking tokens away: what is the explained scalar f of a text when only some of its tokens are kept?

Every method that removes words and watches the prediction asks this, and so does every test of faithfulness. There
are three ways to take a token away, and they give different answers, so an explanation has to say which one it used:

    delete   the token is gone, and the text closes up: what follows moves one position ahead
    replace  another token stands in its place: the mask, unknown or padding token, or one that the caller names
    mask     the token stays, but no token may look at it; the positions of the others stay

What none of them can tell you: what the model would do on a text that a person would have written without the word.
Each makes texts that the model has hardly seen, and part of the change in f is its surprise at that.
"""

from __future__ import annotations

import torch

from glassbox.errors import InputError
from glassbox.question import Question
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
    replacement:  a token, as a string or its id; for "replace".
    batch_size:   how many variants the model sees at a time; by default as many as fit in half a gigabyte.

    After deleting, f is read at the last kept token at or before the question's position. If there is none (for "mask":
    none that could be looked at), the text becomes the tokenizer's start token.
    Raises InputError for options that can't be used, and where the tokenizer lacks the token that is needed.
    """
    kept = torch.as_tensor(kept, device=question.ids.device)
    if kept.dtype != torch.bool or kept.ndim != 2 or kept.shape[1] != question.ids.shape[1]:
        found = f"{kept.dtype} {tuple(kept.shape)}"
        raise InputError(f"kept is {found}; allowed: torch.bool (variant, {question.ids.shape[1]}), one for each token")
    if how not in HOW:
        raise InputError(f"how={how!r} is no way to remove a token; allowed: {', '.join(map(repr, HOW))}")
    if replacement is not None and how != "replace":
        raise InputError(f"a replacement does not go with how={how!r}; allowed: how='replace'")
    substitute = _replacement(question, replacement) if how == "replace" else None
    with undisturbed(question.model), torch.no_grad():
        return torch.cat([_one(question, row, how, substitute) for row in kept])


def removable(question: Question) -> torch.Tensor:
    """Which tokens are words of the text, bool (seq,): not those that the tokenizer adds around each text."""
    words = torch.ones(question.ids.shape[1], dtype=torch.bool, device=question.ids.device)
    added = set(question.tokenizer("")["input_ids"]) if question.tokenizer is not None else set()
    ids = question.ids[0].tolist()
    for places in (range(len(ids)), reversed(range(len(ids)))):
        for place in places:
            if ids[place] not in added:
                break
            words[place] = False
    return words


def _one(question, row, how, substitute):
    read = question.position
    ids = question.ids
    mask = torch.ones_like(ids)
    if how == "replace":
        ids = ids.where(row, substitute)
    elif not row[: read + 1].any():
        ids, read = _start(question), 0
        mask = torch.ones_like(ids)
    elif how == "delete":
        ids, read = ids[:, row], int(row[: read + 1].sum()) - 1
        mask = torch.ones_like(ids)
    else:
        mask = row[None].long()
    output = question.model(input_ids=ids, attention_mask=mask, use_cache=False)
    return question.values(output, read)


def _start(question: Question) -> torch.Tensor:
    """The text of which nothing is left, (1, 1)."""
    names = ("bos_token_id", "cls_token_id", "eos_token_id")
    found = [number for name in names if (number := getattr(question.tokenizer, name, None)) is not None]
    if not found:
        raise InputError(
            "nothing is left of the text, and there is no start token to stand for it (the tokenizer has no bos, cls "
            "or eos token, or none was given); keep a token at or before the position, or pass how='replace'"
        )
    return torch.tensor([[found[0]]], device=question.ids.device)


def _replacement(question: Question, replacement: str | int | None) -> int:
    """The id of the token that stands for what is removed."""
    if isinstance(replacement, str):
        return single_token(question.tokenizer, replacement, "replacement")
    if replacement is None:
        names = ("mask_token_id", "unk_token_id", "pad_token_id")
        found = [number for name in names if (number := getattr(question.tokenizer, name, None)) is not None]
        if not found:
            raise InputError(
                "there is no mask, unknown or padding token to stand for what is removed; "
                "pass replacement=, a token as a string or its id"
            )
        return found[0]
    vocabulary = question.model.get_input_embeddings().num_embeddings
    if isinstance(replacement, bool) or not isinstance(replacement, int) or not 0 <= replacement < vocabulary:
        raise InputError(f"replacement is {replacement!r}; allowed: a token, or its id from 0 to {vocabulary - 1}")
    return replacement
