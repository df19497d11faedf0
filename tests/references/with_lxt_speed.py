"""How long lxt takes beside a forward and backward pass of the same model without it: a ratio, for the benchmarks.

lxt never gives a module back, so the pass without it is measured first.
"""

import statistics
import time

import torch
import transformers

from . import subjects
from .with_lxt import patch

ENVIRONMENT, ALONE = "transformers_4", True
LENGTHS = (32, 128, 512)
RUNS = [("small world",), ("MiniLM",), ("GPT-2 small",)]


def model(name: str) -> torch.nn.Module:
    if name == "GPT-2 small":
        torch.manual_seed(0)
        config = transformers.GPT2Config()
        return transformers.GPT2LMHeadModel._from_config(config, attn_implementation="eager").eval()
    return subjects.build({"small world": "smallworld", "MiniLM": "minilm"}[name], torch.float32)


def seconds(model: torch.nn.Module, tokens: int) -> float:
    """The median over five forward and backward passes, after a first one."""
    ids = torch.arange(1, tokens + 1)[None]
    times = []
    for _ in range(6):
        start = time.perf_counter()
        embeddings = model.get_input_embeddings()(ids).detach().requires_grad_()
        output = model(inputs_embeds=embeddings, attention_mask=torch.ones_like(ids))[0]
        [gradient] = torch.autograd.grad(output[0, -1, 7], embeddings)
        (gradient * embeddings).sum(-1)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def record(name: str) -> dict[str, float]:
    plain = model(name)
    lengths = [tokens for tokens in LENGTHS if tokens <= plain.config.max_position_embeddings]
    before = [seconds(plain, tokens) for tokens in lengths]
    patch("bert" if name == "MiniLM" else "gpt2", "attnlrp")
    patched = model(name)
    return {f"{name}/{tokens}": seconds(patched, tokens) / time for tokens, time in zip(lengths, before, strict=True)}
