"""The generation view: a text written word by word, and the distribution that each word was taken from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from glassbox.errors import InputError, ModelError
from glassbox.question import Question
from glassbox.text import spell
from glassbox.trace import undisturbed
from glassbox.views.view import Table, View, label

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, eq=False)
class Writing:
    """A prompt's tokens, the ids that were added, and the logits that each was taken from, (step, vocabulary)."""

    prompt: list[str]
    chosen: list[int]
    logits: torch.Tensor
    tokenizer: PreTrainedTokenizerBase | None


def write(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    text: str | torch.Tensor,
    *,
    new_tokens: int = 8,
    seed: int | None = None,
) -> Writing:
    """Add tokens one by one: the most probable each time, or, with a seed, drawn at temperature 1.

    Ends early at the end-of-text token, or where the model can read no more. Raises InputError for no tokens at all,
    ModelError for a model that does not predict a next word.
    """
    question = Question.ask(model, tokenizer, text, None, None, -1, "logit")
    if isinstance(new_tokens, bool) or not isinstance(new_tokens, int) or new_tokens < 1:
        raise InputError(f"new_tokens is {new_tokens!r}; allowed: a whole number from 1")
    if any(part.is_causal is False for part in model.modules() if hasattr(part, "is_causal")):
        raise ModelError(f"{type(model).__name__} sees the whole text at once; writing needs a model that predicts on")
    draws = None if seed is None else torch.Generator().manual_seed(seed)
    longest = getattr(model.config, "max_position_embeddings", None) or float("inf")
    ends = getattr(model.generation_config, "eos_token_id", None) if hasattr(model, "generation_config") else None
    ends = set(ends if isinstance(ends, list) else [ends])
    ids, rows, chosen = question.ids, [], []
    with undisturbed(model), torch.no_grad():
        while len(chosen) < new_tokens and ids.shape[1] <= longest:
            asked = Question.ask(model, tokenizer, ids, None, None, -1, "logit")
            output = asked.run()
            if asked.about_classes(output):
                raise ModelError(f"{type(model).__name__} predicts classes; writing needs a model that predicts words")
            rows.append(asked.logits(output)[0].float().cpu())  # (vocabulary,)
            if draws is None:
                chosen.append(int(rows[-1].argmax()))
            else:
                chosen.append(int(torch.multinomial(rows[-1].softmax(-1), 1, generator=draws)))
            if chosen[-1] in ends:
                break
            ids = torch.cat([ids, ids.new_tensor([[chosen[-1]]])], dim=1)
    return Writing(spell(tokenizer, question.ids[0].tolist()), chosen, torch.stack(rows), tokenizer)


def generation(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    text: str | torch.Tensor,
    *,
    new_tokens: int = 8,
    seed: int | None = None,
    keep: int = 60,
    title: str | None = None,
) -> View:
    """Step through the words that the model adds, and re-draw each distribution by temperature, top-k and top-p.

    new_tokens, seed:  how the text is written, see `write`.
    keep:              how many words of each distribution can be seen by name; of the others only how much they hold.
    """
    writing = write(model, tokenizer, text, new_tokens=new_tokens, seed=seed)
    vocabulary = writing.logits.shape[-1]
    if not 1 <= keep <= 1000:
        raise InputError(f"keep is {keep}; allowed: 1 to 1000")
    keep = min(keep, vocabulary)
    steps = [_step(logits, chosen, keep) for logits, chosen in zip(writing.logits, writing.chosen, strict=True)]
    numbers = sorted({number for step in steps for number in [*step["ids"], step["chosen"][0]]})
    index = {number: place for place, number in enumerate(numbers)}
    for step in steps:
        step["ids"] = [index[number] for number in step["ids"]]
        step["chosen"][0] = index[step["chosen"][0]]
    words = [label(word) for word in spell(writing.tokenizer, numbers)]
    prompt = [label(token) for token in writing.prompt]
    data = {"prompt": prompt, "words": words, "vocabulary": vocabulary, "steps": steps}
    chances = writing.logits.softmax(-1).topk(min(5, vocabulary))  # (step, 5)
    rows = []
    for step, chosen in enumerate(writing.chosen):
        best = zip(spell(writing.tokenizer, chances.indices[step].tolist()), chances.values[step].tolist(), strict=True)
        own = float(writing.logits[step].softmax(-1)[chosen])
        taken = f"{label(spell(writing.tokenizer, [chosen])[0])} {own:.3f}"
        rows.append([str(step + 1), taken, *(f"{label(word)} {chance:.3f}" for word, chance in best)])
    columns = ["step", "chosen", *(f"{place}." for place in range(1, 1 + chances.values.shape[1]))]
    text = "".join(writing.prompt)
    return View(
        "generation",
        title or "How the text goes on, word by word",
        data,
        [Table(f"After {text!r}: the word chosen at each step, and the most probable ones", columns, rows)],
        lambda title: _figure(writing, title),
    )


def _step(logits: torch.Tensor, chosen: int, keep: int) -> dict:
    """The best logits by name, and the others as a few groups of nearly equal ones: (logit, how many) each.

    The logits are less the largest, so temperature can be applied to them as they are.
    """
    logits, order = (logits.double() - logits.max()).sort(descending=True, stable=True)
    tail = logits[keep:]
    groups = []
    while len(tail):
        near = int((tail > tail[0] - 0.5).sum())
        # Their common logit is the one that gives the group's mass at temperature 1.
        groups.append([float(f"{float(tail[:near].logsumexp(0)) - float(torch.tensor(near).log()):.4f}"), near])
        tail = tail[near:]
    rank = order.tolist().index(chosen)
    return {
        "ids": order[:keep].tolist(),
        "logits": [float(f"{value:.3f}") for value in logits[:keep].tolist()],
        "tail": groups,
        "chosen": [chosen, float(f"{float(logits[rank]):.3f}"), rank + 1],  # a drawn word may lie far below
    }


def _figure(writing, title):
    from glassbox import grids  # matplotlib loads when something is drawn, not before

    best = writing.logits.softmax(-1).topk(min(5, writing.logits.shape[-1]))  # (step, 5)
    ranks = range(best.values.shape[1], 0, -1)  # the first rank stands on top
    return grids.layer_grid(
        best.values.T.flip(0),
        list(ranks),
        spell(writing.tokenizer, writing.chosen),
        texts=[spell(writing.tokenizer, best.indices[:, rank - 1].tolist()) for rank in ranks],
        title=title,
        label="probability",
        columns="the word that was chosen",
        rows="rank",
    )
