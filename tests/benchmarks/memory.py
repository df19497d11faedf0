"""By how much does the process grow, at most, while a method runs on 512 tokens and GPT-2 small?"""

import torch
from tests.benchmarks.cases import Case, case, gpt2_small
from tests.benchmarks.measuring import peak

from glassbox.question import Question
from glassbox.removal import values_without

TOKENS = 512


def leave_one_out() -> dict[str, float]:
    """Bytes of a forward pass, and of the method where its batches are largest: the first tokens taken away."""
    asked = case("GPT-2 small", gpt2_small(), TOKENS)
    question = Question.ask(asked.model, None, asked.ids, asked.target, None, -1, "logit")
    found = {"a forward pass": peak(lambda: _forward(asked))}
    question = question.settled(_forward(asked))
    for how in ("delete", "replace", "mask"):
        kept = torch.ones(24, TOKENS, dtype=torch.bool)
        kept[range(24), range(1, 25)] = False
        token = 7 if how == "replace" else None
        found[f'leave_one_out, "{how}"'] = peak(
            lambda how=how, kept=kept, token=token: values_without(question, kept, how, token)
        )
    found["lime, half of the tokens gone"] = peak(lambda: values_without(question, torch.rand(24, TOKENS) < 0.5))
    return found


def rollout() -> dict[int, tuple[float, float]]:
    """By number of layers: bytes of rollout, and of asking transformers for all attention weights."""
    found = {}
    for layers in (2, 4, 8, 12):
        asked = case("GPT-2 small", gpt2_small(layers), TOKENS)
        found[layers] = (
            peak(lambda asked=asked: asked.explain("rollout")),
            peak(lambda asked=asked: _forward(asked, output_attentions=True)),
        )
    return found


def _forward(asked: Case, **more: bool):
    with torch.no_grad():
        return asked.model(asked.ids, use_cache=False, **more)
