"""How a text becomes the model's tokens, and how tokens are shown to people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from glassbox.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def encode(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, text: str | torch.Tensor) -> torch.Tensor:
    """Token ids of shape (1, seq) on the model's device; raises InputError for a text that the model can't read."""
    if isinstance(text, str):
        if tokenizer is None:
            raise InputError("a text needs its tokenizer; without one, pass token ids of shape (1, seq)")
        if not text.strip():
            raise InputError("the text is empty; give at least one word")
        ids = torch.tensor([tokenizer(text)["input_ids"]])  # (1, seq)
    else:
        ids = _checked_ids(model, text)
    limit = _longest(model, tokenizer)
    if ids.shape[1] > limit:
        raise InputError(f"the text has {ids.shape[1]} tokens, and the model reads at most {limit}; shorten it")
    return ids.to(model.device)


def _checked_ids(model: PreTrainedModel, ids: Any) -> torch.Tensor:
    if isinstance(ids, Mapping):
        raise InputError('text is the tokenizer\'s whole output; pass its token ids, text["input_ids"]')
    try:
        ids = torch.as_tensor(ids)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"text is a {type(ids).__name__}; allowed: a string, or token ids (1, seq)") from None
    if ids.ndim != 2 or ids.shape[0] != 1 or ids.shape[1] == 0:
        raise InputError(f"token ids have the shape {tuple(ids.shape)}; allowed: (1, seq), one text of a token or more")
    if ids.dtype not in (torch.int64, torch.int32):
        raise InputError(f"token ids are {ids.dtype}; allowed: whole numbers (torch.int64)")
    vocabulary = model.get_input_embeddings().num_embeddings
    if ids.min() < 0 or ids.max() >= vocabulary:
        raise InputError(f"token ids run from {ids.min()} to {ids.max()}; this model's are 0 to {vocabulary - 1}")
    return ids.clone() if ids.is_inference() else ids


def _longest(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None) -> float:
    """The most tokens that the model reads. RoBERTa keeps positions for itself, which only its tokenizer knows."""
    positions = getattr(model.config, "max_position_embeddings", None) or float("inf")
    return min(positions, tokenizer.model_max_length) if tokenizer is not None else positions


def single_token(tokenizer: PreTrainedTokenizerBase | None, word: str, role: str = "target") -> int:
    """The id of a word that is one token; raises InputError for any other, and names the likely slip."""
    if tokenizer is None:
        raise InputError(f"{role} {word!r} needs a tokenizer; without one, pass the token's id")
    ids = tokenizer(word, add_special_tokens=False)["input_ids"]
    if len(ids) == 1 and (ids[0] != tokenizer.unk_token_id or word == tokenizer.unk_token):
        return ids[0]
    found = " and ".join(map(repr, spell(tokenizer, ids))) or "nothing"
    spaced = tokenizer(f" {word}", add_special_tokens=False)["input_ids"]
    hint = f" (with a space in front, {' ' + word!r} is one)" if len(spaced) == 1 and not word.startswith(" ") else ""
    raise InputError(f"{role} {word!r} is not one token but {len(ids)}: {found}{hint}; allowed: a string that is one")


def spell(tokenizer: PreTrainedTokenizerBase | None, ids: list[int]) -> list[str]:
    """Each token as it stands in the text, with its leading space; without a tokenizer, its number."""
    if tokenizer is None:
        return [str(number) for number in ids]
    return [_spell_one(tokenizer, number) for number in ids]


def _spell_one(tokenizer: PreTrainedTokenizerBase, number: int) -> str:
    text = tokenizer.decode([number], clean_up_tokenization_spaces=False)
    piece = tokenizer.convert_ids_to_tokens(number)
    if piece is None:
        return f"<{number}>"  # a row of the embeddings that no token uses
    # Llama's tokenizer drops the space at the start of what it decodes; its pieces still show it as ▁.
    return f" {text}" if piece.startswith("▁") and not text.startswith(" ") else text


def word_spans(tokenizer: PreTrainedTokenizerBase | None, ids: list[int]) -> list[tuple[str, int, int]]:
    """The words of a text as (word, first token, token after the last).

    A word is the longest run of tokens that decode to no space but at its start; a special token stands alone.
    This asks nothing of the tokenizer but to decode, so it serves byte-level, WordPiece and SentencePiece alike.
    """
    if tokenizer is None:
        return [(str(number), place, place + 1) for place, number in enumerate(ids)]
    special = set(tokenizer.all_special_ids)
    spans: list[tuple[str, int, int]] = []
    for place, number in enumerate(ids):
        first = spans[-1][1] if spans else 0
        run = tokenizer.decode(ids[first : place + 1], clean_up_tokenization_spaces=False)
        alone = number in special or (place > 0 and ids[place - 1] in special)
        if not spans or alone or len(run.split()) > 1 or run.lstrip() != run.strip():
            first, run = place, tokenizer.decode([number], clean_up_tokenization_spaces=False)
        else:
            spans.pop()
        spans.append((run.strip() or run, first, place + 1))
    return spans
