"""LRP by lxt in its efficient mode: AttnLRP, and CP-LRP where lxt has it (not for BERT).

Run for one subject at a time: lxt patches modules, torch's own among them, and never gives them back.
"""

import importlib
import sys
import types
from itertools import product

import torch
import transformers

from . import subjects

ENVIRONMENT, ALONE = "transformers_4", True
RULES = {"attnlrp": "attnLRP", "cp": "cp_LRP"}
DECODERS = ["gpt2", "llama", "qwen2", "qwen3", "gemma3", "smallworld"]
RUNS = [*product(DECODERS, RULES), *product(["bert", "bert-classifier", "minilm"], ["attnlrp"])]


def patch(architecture: str, rule: str) -> None:
    """Put lxt's rules into transformers' module for this architecture."""
    # lxt imports torchvision for the layers of vision models, which are torch's own.
    for name in ("torchvision", "torchvision.models"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["torchvision.models"].vision_transformer = torch
    from lxt.efficient import monkey_patch

    rules = importlib.import_module(f"lxt.efficient.models.{architecture}")
    module = importlib.import_module(f"transformers.models.{architecture}.modeling_{architecture}")
    monkey_patch(module, patch_map=getattr(rules, RULES[rule]))
    for name, kind in list(vars(transformers).items()):
        if getattr(kind, "__module__", None) == module.__name__:
            delattr(transformers, name)  # it would go on giving the class that it has given once


def relevance(model: torch.nn.Module, ids: torch.Tensor, read) -> tuple[torch.Tensor, torch.Tensor]:
    """lxt's recipe: the patched model's gradient times its input. The explained scalar and (seq,) scores."""
    embeddings = model.get_input_embeddings()(ids).detach().requires_grad_()  # (1, seq, width)
    value = read(model(inputs_embeds=embeddings, attention_mask=torch.ones_like(ids)))
    [gradient] = torch.autograd.grad(value, embeddings)
    return value.detach(), (gradient * embeddings)[0].sum(-1).detach()


def record(subject: str, rule: str) -> dict[str, torch.Tensor]:
    patch({"smallworld": "gpt2", "minilm": "bert"}.get(subject, subject.removesuffix("-classifier")), rule)
    model, ids = subjects.build(subject), subjects.ids(subject)
    value, scores = relevance(model, ids, subjects.reading(subject, model))
    return {f"{subject}/ids": ids, f"{subject}/{rule}/value": value, f"{subject}/{rule}/scores": scores}
