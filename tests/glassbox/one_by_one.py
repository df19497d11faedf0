"""What taking tokens away means, said the slow way: one text, one run, nothing shared."""

import torch

from glassbox.question import Question

HOWS = ["delete", "replace", "mask"]
STAND_IN = 7  # the token that replaces others in the tests


def question(model, ids, tokenizer=None, **about):
    """A settled question."""
    about = dict(target=None, foil=None, position=-1, of="logit") | about
    asked = Question.ask(model, tokenizer, ids, **about)
    with torch.no_grad():
        return asked.settled(asked.run())


def value(asked, row, how):
    """f of the one text that keeps the tokens of `row`."""
    ids, read, more = asked.ids, asked.position, {}
    kind = type(asked.model).__name__
    whole = callable(asked.target) or "Classification" in kind
    left = row if whole or how == "mask" and "MaskedLM" in kind else row[: read + 1]
    looked_at = torch.ones_like(ids)
    if how == "replace":
        ids = ids.where(row, STAND_IN)
    elif not left.any():
        ids, read = torch.tensor([[asked.tokenizer.bos_token_id]]), 0
        looked_at = torch.ones_like(ids)
    elif how == "delete":
        read = max(place for place, kept in enumerate(row[: read + 1].tolist() or [True]) if kept or whole)
        read = int(row[:read].sum())
        ids = ids[:, row]
        looked_at = torch.ones_like(ids)
    else:
        looked_at = row[None].long()
        if asked.model.config.model_type == "opt":  # it counts positions by the mask
            more = {"position_ids": torch.arange(ids.shape[1])[None]}
    with torch.no_grad():
        output = asked.model(input_ids=ids, attention_mask=looked_at, use_cache=False, **more)
        return asked.values(output, read)[0]


def values(asked, kept, how):
    return torch.stack([value(asked, row, how) for row in kept])


def game(asked, how):
    """f of coalitions as captum calls it, (n, players) of ones and zeros -> (n,); each is asked about once."""
    known = {}

    def f(kept):
        for row in kept.bool():
            if tuple(row.tolist()) not in known:
                known[tuple(row.tolist())] = value(asked, row, how)
        return torch.stack([known[tuple(row.tolist())] for row in kept.bool()])

    return f


def exactly(name, how):
    """How to build a model so that both ways agree to the last digits.

    Where a float64 token may look at nothing, transformers' eager attention gives nan: its softmax is float32's.
    """
    if how != "mask":
        return dict(dtype=torch.float64)
    return dict(dtype=torch.float32) if name == "gemma2" else dict(dtype=torch.float64, attn_implementation="sdpa")
