"""Taking tokens away: equal to one by one everywhere, with shared prefixes, bounded memory and clear refusals."""

import subprocess
import sys
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.glassbox.architectures import ARCHITECTURES, CLASSIFIERS, DECODERS, ENCODERS
from tests.glassbox.architectures import build as build_model
from tests.glassbox.one_by_one import HOWS, STAND_IN, exactly, question, values
from tokenizers import processors

from glassbox import reader
from glassbox.errors import InputError
from glassbox.removal import removable, replacement_id, values_without

SEQ = 9


def some_ids(seq=SEQ, seed=0):
    return torch.randint(1, 300, (1, seq), generator=torch.Generator().manual_seed(seed))


def some_kept(seq=SEQ, variants=24, seed=1):
    """Each token away once, everything, nothing, the end or the beginning only, and any; some of them twice."""
    kept = torch.rand(variants, seq, generator=torch.Generator().manual_seed(seed)) > 0.4
    one_away = ~torch.eye(seq, dtype=torch.bool)
    ends = torch.tensor([[True] * seq, [False] * seq])
    last, first = torch.arange(seq) > seq - 3, torch.arange(seq) < 3
    return torch.cat([kept, one_away, ends, last[None], first[None], kept[:3]])


def without(asked, kept, how, **options):
    return values_without(asked, kept, how, STAND_IN if how == "replace" else None, **options)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_equal_to_one_by_one(name, how, tokenizer):
    model, kept = build_model(name, **exactly(name, how)), some_kept()
    for position in (-1, 5, 0):
        asked = question(model, some_ids(), tokenizer, position=position)
        one_by_one = values(asked, kept, how)
        assert one_by_one.unique().numel() > 3 or position == 0
        bound = 1e-10 if one_by_one.dtype == torch.float64 else 1e-5
        for options in ({}, {"batch_size": 1}, {"batch_size": 4}):
            got = without(asked, kept, how, **options)
            assert got.dtype == one_by_one.dtype
            assert (got - one_by_one).abs().max() <= bound * one_by_one.abs().max()


@pytest.mark.parametrize("of", ["logit", "logprob", "prob", "foil"])
def test_every_reading(of, tokenizer):
    model = build_model("llama", dtype=torch.float64)
    about = dict(target=5, foil=9) if of == "foil" else dict(target=5, of=of)
    asked, kept = question(model, some_ids(), tokenizer, **about), some_kept()
    assert without(asked, kept, "delete").allclose(values(asked, kept, "delete"), rtol=1e-10)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", ["gpt2", "gemma3", "bert", "bare bert"])
def test_a_function_sees_the_whole_output(name, how, tokenizer):
    def function(output):
        return output[0][0].square().mean() + output[0][0, 0, 0]

    asked = question(build_model(name, **exactly(name, how)), some_ids(), tokenizer, target=function, position=3)
    kept = some_kept()
    assert without(asked, kept, how).allclose(values(asked, kept, how), rtol=1e-10)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_kept_mask(data, tokenizer):
    name, how = (
        data.draw(st.sampled_from(["gpt2", "gemma3", "bert", "gpt2-classifier"])),
        data.draw(st.sampled_from(HOWS)),
    )
    seq = data.draw(st.integers(1, SEQ))
    rows = data.draw(st.lists(st.lists(st.booleans(), min_size=seq, max_size=seq), min_size=1, max_size=12))
    position, size = data.draw(st.integers(-seq, seq - 1)), data.draw(st.sampled_from([None, 1, 2, 5]))
    asked = question(MODELS[name, how == "mask"], some_ids(seq), tokenizer, position=position)
    kept = torch.tensor(rows)
    got = without(asked, kept, how, batch_size=size)
    assert got.allclose(values(asked, kept, how), rtol=1e-10, atol=1e-10)
    order = torch.tensor(data.draw(st.permutations(range(len(rows)))))
    assert without(asked, kept[order], how, batch_size=size).equal(got[order])


MODELS = {
    (name, how == "mask"): build_model(name, **exactly(name, how))
    for name in ("gpt2", "gemma3", "bert", "gpt2-classifier")
    for how in ("delete", "mask")
}


def tokens_computed(model, run):
    """What `run` gives the model to compute: the shape (batch, seq) of each run's ids."""
    shapes = []
    hook = model.get_input_embeddings().register_forward_pre_hook(lambda _, ids: shapes.append(tuple(ids[0].shape)))
    try:
        run()
    finally:
        hook.remove()
    return shapes


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_computes_only_what_changed(name, how, tokenizer):
    model, one_away = build_model(name, **exactly(name, how)), ~torch.eye(SEQ, dtype=torch.bool)
    asked = question(model, some_ids(), tokenizer)
    shapes = tokens_computed(model, lambda: without(asked, one_away, how, batch_size=1))
    after = [(1, SEQ)] + [(1, SEQ - place - (how == "delete")) for place in range(SEQ)]
    after[-1] = (1, 1)  # a run needs one token
    assert shapes == after
    # What stands after the position changes nothing, and is not asked for.
    asked = question(model, some_ids(), tokenizer, position=3)
    whole = torch.ones(1, SEQ, dtype=torch.bool)
    later = whole & (torch.arange(SEQ) <= 3)
    assert without(asked, later, how).equal(without(asked, whole, how))


@pytest.mark.parametrize("name", ENCODERS + CLASSIFIERS)
def test_others_share_nothing(name, tokenizer):
    model, one_away = build_model(name), ~torch.eye(SEQ, dtype=torch.bool)
    shapes = tokens_computed(model, lambda: without(question(model, some_ids(), tokenizer), one_away, "replace"))
    assert (SEQ, SEQ) in shapes


@pytest.mark.parametrize("how", HOWS)
def test_a_classifier_without_padding_takes_one_text_at_a_time(how, tokenizer):
    model, kept = build_model("gpt2-classifier", dtype=torch.float64, attn_implementation="sdpa"), some_kept()
    model.config.pad_token_id = None
    asked = question(model, some_ids(), tokenizer, position=5)  # which such a head does not care about
    shapes = tokens_computed(model, lambda: without(asked, kept, how, batch_size=8))
    assert {batch for batch, _ in shapes} == {1}
    afresh = tokens_computed(model, lambda: values(asked, kept.unique(dim=0), how))
    assert sum(length for _, length in shapes) < sum(length for _, length in afresh)  # it shares what did not change
    assert without(asked, kept, how).allclose(values(asked, kept, how), rtol=1e-10)


def test_a_classifier_that_looks_for_padding_sees_the_whole_text():
    model, kept = build_model("gpt2-classifier", dtype=torch.float64), some_kept()
    asked = question(model, some_ids())
    padding = model.config.pad_token_id
    got = values_without(asked, kept, "replace", padding)
    for row, value in zip(kept, got, strict=True):
        with torch.no_grad():
            output = model(input_ids=asked.ids.where(row, padding), attention_mask=torch.ones_like(asked.ids))
        assert float(asked.values(output)) == pytest.approx(float(value), rel=1e-10)


class AllLogits(transformers.GPT2LMHeadModel):
    """Can't be asked for the last position's logits alone."""

    def forward(self, input_ids, attention_mask, use_cache, past_key_values=None):
        return super().forward(input_ids, past_key_values, attention_mask, use_cache=use_cache)


@pytest.mark.parametrize("how", HOWS)
def test_a_decoder_that_always_gives_all_logits(how, tokenizer):
    model, kept = build_model("gpt2", dtype=torch.float64), some_kept()
    model.__class__ = AllLogits
    asked = question(model, some_ids(), tokenizer, position=6)
    assert without(asked, kept, how).allclose(values(asked, kept, how), rtol=1e-10)


def test_equal_variants_are_asked_about_once(tokenizer):
    model = build_model("gpt2")
    asked = question(model, some_ids(), tokenizer)
    same = torch.tensor([[True] * 4 + [False] * 5]).expand(50, SEQ)
    assert tokens_computed(model, lambda: without(asked, same, "delete")) == [(1, SEQ), (1, 1)]


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert"])
def test_half_precision(name, tokenizer):
    model, kept = build_model(name), some_kept()
    asked = question(model, some_ids(), tokenizer, of="prob")
    exact = without(asked, kept, "delete")
    half = without(question(model.bfloat16(), some_ids(), tokenizer, target=asked.target, of="prob"), kept, "delete")
    assert half.dtype == torch.float32
    assert (half - exact).abs().max() < 0.05


def test_memory_at_512_tokens_on_the_size_of_gpt2_small():
    """Python, torch, the weights and the batches together, as the system counts them; a function needs all logits."""
    script = """
import resource, torch, transformers
from glassbox.question import Question
from glassbox.removal import values_without
torch.set_num_threads(1)
model = transformers.GPT2LMHeadModel(transformers.GPT2Config(attn_implementation="eager")).eval()
kept = ~torch.eye(512, dtype=torch.bool)
for target, variants in (5, 3), (lambda output: output.logits[0, -1, 5], 6):
    values_without(Question(model, None, torch.arange(512)[None], target, None, 511, "logit"), kept[:variants])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 < 2e9


@pytest.mark.parametrize("how", HOWS)
def test_memory_is_what_sets_the_batch(how, tokenizer, monkeypatch):
    model, one_away = build_model("gpt2"), ~torch.eye(SEQ, dtype=torch.bool)
    asked = question(model, some_ids(), tokenizer)
    most = []
    for memory in (2**14, 2**17, 2**29):
        monkeypatch.setattr(reader, "MEMORY", memory)
        most.append(max(batch for batch, _ in tokens_computed(model, lambda: without(asked, one_away, how))))
    assert most[0] == 1 < most[1] < most[2] == SEQ


def test_words_are_what_the_tokenizer_did_not_add(word_pieces, tokenizer, smallworld_model):
    def words(model, tokenizer, text):
        return removable(question(model, text, tokenizer)).tolist()

    bert, word_pieces = build_model("bert"), deepcopy(word_pieces)
    added = [("[CLS]", word_pieces.cls_token_id), ("[SEP]", word_pieces.sep_token_id)]
    frame = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=added)
    word_pieces.backend_tokenizer.post_processor = frame
    assert words(bert, word_pieces, "unseen tower [SEP] good") == [False] + [True] * 5 + [False]
    assert words(bert, word_pieces, "what") == [False, True, False]  # unknown, but a word
    assert words(bert, None, some_ids()) == [True] * SEQ
    assert words(build_model("gpt2"), tokenizer, "<|start|>The Tower") == [True] * 3  # typed, not added
    assert words(*smallworld_model, "The Eiffel Tower") == [False, True, True, True]


def test_what_stands_for_a_removed_token(word_pieces, tokenizer):
    asked = question(build_model("bert"), "the tower", word_pieces)
    assert replacement_id(asked, None) == word_pieces.unk_token_id
    with_mask = deepcopy(word_pieces)
    with_mask.add_special_tokens({"mask_token": "[MASK]"})
    assert replacement_id(replace(asked, tokenizer=with_mask), None) == with_mask.mask_token_id
    assert replacement_id(asked, "good") == replacement_id(asked, 9) == 9
    like_gpt2 = deepcopy(tokenizer)
    like_gpt2.unk_token = "<|start|>"  # its end of text, which is no unknown word
    for lacking in (like_gpt2, tokenizer, None):
        with pytest.raises(InputError, match="no mask, unknown or padding token .* pass replacement="):
            replacement_id(replace(asked, tokenizer=lacking), None)
    for bad in (300, -1, True, 1.5):
        with pytest.raises(InputError, match=f"replacement is {bad!r}; allowed: a token, or its id from 0 to 299"):
            replacement_id(asked, bad)
    with pytest.raises(InputError, match="replacement 'tower seen' is not one token"):
        replacement_id(asked, "tower seen")


@pytest.mark.parametrize("how", ["delete", "mask"])
def test_nothing_left_and_no_start_token(how):
    asked = question(build_model("llama"), some_ids())
    with pytest.raises(InputError, match="nothing is left .*no start token .bos, cls or eos.* how='replace'"):
        values_without(asked, torch.zeros(1, SEQ, dtype=torch.bool), how)
    assert values_without(asked, torch.zeros(1, SEQ, dtype=torch.bool), "replace", 7).isfinite().all()


BAD = {
    "no tensor": (dict(kept=[[True] * SEQ]), r"kept is a list; allowed: torch.bool \(variant, 9\)"),
    "numbers": (dict(kept=torch.ones(2, SEQ)), r"kept is torch.float32 \(2, 9\); allowed: torch.bool"),
    "another length": (dict(kept=torch.ones(2, 4, dtype=torch.bool)), r"kept is torch.bool \(2, 4\); allowed"),
    "one row": (dict(kept=torch.ones(SEQ, dtype=torch.bool)), r"kept is torch.bool \(9,\); allowed"),
    "none at all": (dict(kept=torch.ones(0, SEQ, dtype=torch.bool)), r"kept is torch.bool \(0, 9\); .*one variant"),
    "no way": (dict(how="burn"), "how='burn' is no way .* 'delete', 'replace', 'mask'"),
    "a needless replacement": (dict(replacement=3), "a replacement does not go with how='delete'"),
    "no batch": (dict(batch_size=0), "batch_size is 0; allowed: a whole number from 1, or None"),
    "half a batch": (dict(batch_size=1.5), "batch_size is 1.5; allowed"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    options, message = BAD[case]
    with pytest.raises(InputError, match=message):
        values_without(question(build_model("gpt2"), some_ids()), **dict(kept=some_kept()) | options)


def test_the_model_is_left_as_it_was(tokenizer):
    model = build_model("llama").train()
    model.model.layers[1].eval().requires_grad_(False)
    asked = question(model, some_ids(), tokenizer)

    def state():
        modes = [(part.training, len(part._forward_hooks), list(vars(part))) for part in model.modules()]
        return modes, [(each.requires_grad, each.grad) for each in model.parameters()], str(model.config)

    before = state()
    without(asked, some_kept(), "delete")
    assert state() == before
    broken = model.model.layers[2].register_forward_hook(lambda *_: 1 / 0)
    with_hook = state()
    with pytest.raises(ZeroDivisionError):
        without(asked, some_kept(), "delete")
    assert state() == with_hook
    broken.remove()
