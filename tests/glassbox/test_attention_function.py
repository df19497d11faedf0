"""Attention by a function of ours gives what the model's own gives, and nothing of it stays."""

import pytest
import torch
from tests.glassbox.architectures import ARCHITECTURES
from transformers import AttentionInterface, AttentionMaskInterface

from glassbox.attention_function import attention_by, plain_attention

IDS = torch.tensor([[5, 17, 250, 3, 99, 42, 7], [8, 8, 21, 4, 60, 2, 31]])
MASK = torch.tensor([[1, 1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1, 1]])


def registered():
    return dict(AttentionInterface._global_mapping), dict(AttentionMaskInterface._global_mapping)


def logits(model):
    with torch.no_grad():
        return model(IDS, attention_mask=MASK, use_cache=False).logits


# Gemma 2 has no sdpa attention, because its scores are bent before the softmax.
FUSED = [(name, "sdpa") for name in ARCHITECTURES if name != "gemma2"]


@pytest.mark.parametrize(("name", "loaded_as"), [(name, "eager") for name in ARCHITECTURES] + FUSED)
def test_plain_attention_is_what_the_model_computes(build, name, loaded_as):
    model = build(name, loaded_as, dtype=torch.float64)
    calls = []

    def counted(module, *arguments, **more):
        calls.append(module)
        return plain_attention(module, *arguments, **more)

    with attention_by(model, counted):
        ours = logits(model)
    assert len(set(calls)) == len(calls) == 3
    theirs = logits(build(name, dtype=torch.float64))
    # Llama and its kin round their weights to float32, which we do not.
    assert (ours - theirs).abs().max() <= 2e-6 * theirs.abs().max()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_rounds_where_the_model_does(build, dtype):
    for name in ("gpt2", "llama", "gemma2"):
        model = build(name, dtype=dtype)
        with attention_by(model, plain_attention):
            ours = logits(model)
        assert torch.equal(ours, logits(model))


def test_nothing_stays(build):
    model, before = build("llama", "sdpa"), registered()
    with attention_by(model, plain_attention):
        assert registered() != before
    assert registered() == before and model.config._attn_implementation == "sdpa"
    with pytest.raises(ZeroDivisionError), attention_by(model, lambda *_, **__: 1 / 0):
        logits(model)
    assert registered() == before and model.config._attn_implementation == "sdpa"


def test_uses_may_be_nested(build):
    outer, inner, calls = build("llama"), build("gpt2"), []

    def saying(what):
        def attention(*arguments, **more):
            calls.append(what)
            return plain_attention(*arguments, **more)

        return attention

    with attention_by(outer, saying("outer")):
        with attention_by(outer, saying("inner")), attention_by(inner, saying("other")):
            logits(outer), logits(inner)
        logits(outer)
    logits(outer)
    assert calls == ["inner"] * 3 + ["other"] * 3 + ["outer"] * 3
