"""Faithfulness by hand, by running the model on each shortened text, and what must always hold."""

import copy
import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing

import glassbox as gb
from glassbox.errors import InputError
from glassbox.judging.faithfulness import faithfulness, judged, question_of, tokens_of_share, value_when_kept
from glassbox.judging.rank_agreement import largest

SENTENCE = "The unseen Tower is in London is un"


def additive(weights):
    return lambda kept: kept.double() @ weights


def attribution_of(model, ids, scores=None, **asked):
    a = gb.explain(model, None, ids, method="random", **asked)
    if scores is not None:
        a.scores = torch.as_tensor(scores)
    return a


def probability(model, ids, target, position=-1):
    with torch.no_grad():
        return float(model(input_ids=ids, use_cache=False).logits[0, position].softmax(-1)[target])


def test_an_additive_function_by_hand():
    weights = torch.tensor([0.5, 0.125, 0.25, 0.125], dtype=torch.float64)
    words = torch.tensor([True, True, True, False])
    rationales = torch.stack([largest(torch.tensor([0.1, 0.9, 0.8, 7.0]), k, words) for k in (1, 2, 3)])
    whole, without, alone = judged(additive(weights), rationales, words)
    assert whole == 1
    assert (whole - without).tolist() == [0.125, 0.375, 0.875]  # comprehensiveness: what the top tokens weigh
    assert (whole - alone).tolist() == [0.75, 0.5, 0]  # sufficiency: what the others weigh; the last one always stays


@settings(deadline=None, max_examples=60)
@given(data=st.data(), n=st.integers(1, 10))
def test_removing_nothing_and_keeping_everything_change_nothing(data, n):
    marks = st.lists(st.booleans(), min_size=n, max_size=n).map(torch.tensor)
    weights = torch.tensor(data.draw(st.lists(st.floats(-5, 5), min_size=n, max_size=n)), dtype=torch.float64)
    words = data.draw(marks)
    rationales = torch.stack([torch.zeros(n, dtype=torch.bool), words, data.draw(marks) & words])
    whole, without, alone = judged(additive(weights), rationales, words)
    assert whole == without[0] and whole == alone[1]
    assert without[1] == alone[0]  # the text without all words is the text of which no word is kept
    # For an additive function the two judge the same: what is lost with r, and what is lost without r.
    assert torch.allclose((whole - without) + (whole - alone), (weights * words).sum().expand(3))


@settings(deadline=None, max_examples=60)
@given(share=st.floats(0.001, 0.999), tokens=st.integers(1, 2000))
def test_a_share_is_the_nearest_number_of_tokens(share, tokens):
    count = tokens_of_share(share, tokens)
    assert 1 <= count <= tokens
    assert count == 1 or abs(count - share * tokens) <= 0.5 + 1e-6


def test_shares_by_hand():
    assert [tokens_of_share(share, 10) for share in (0.01, 0.05, 0.1, 0.2, 0.5)] == [1, 1, 1, 2, 5]
    assert [tokens_of_share(share, 30) for share in (0.01, 0.05, 0.1, 0.2, 0.5)] == [1, 2, 3, 6, 15]
    assert tokens_of_share(0.29, 50) == 15  # 0.29 · 50 is a little less than 14.5 in floating point


@pytest.mark.parametrize("name", ["gpt2", "llama", "gpt_neox"])
def test_against_the_model_itself(build, name):
    model, ids = build(name, dtype=torch.float64), torch.randint(1, 300, (1, 11))
    scores = torch.randn(11)
    scores[10] = -9  # so that the prediction is read at the last token throughout, as below
    a = attribution_of(model, ids, scores)
    found = gb.faithfulness(model, None, a)
    p = probability(model, ids, a.target)
    assert found.value == pytest.approx(p, rel=1e-9)
    assert found.tokens == {1: 1, 3: 3, 5: 5, 0.01: 1, 0.05: 1, 0.1: 1, 0.2: 2, 0.5: 6}
    order = sorted(range(11), key=lambda place: -float(scores[place]))
    for size, count in found.tokens.items():
        rest = [place for place in range(11) if place not in order[:count]]
        assert found.comprehensiveness[size] == pytest.approx(p - probability(model, ids[:, rest], a.target), abs=1e-9)
        top = sorted(order[:count])
        assert found.sufficiency[size] == pytest.approx(p - probability(model, ids[:, top], a.target), abs=1e-9)
    for aopc, values in (
        (found.aopc_comprehensiveness, found.comprehensiveness),
        (found.aopc_sufficiency, found.sufficiency),
    ):
        assert aopc == pytest.approx(sum(values[share] for share in (0.01, 0.05, 0.1, 0.2, 0.5)) / 5, abs=1e-15)


def test_replacing_and_masking_against_the_model_itself(build):
    model, ids = build("bert", dtype=torch.float64), torch.randint(1, 300, (1, 9))
    a = attribution_of(model, ids, position=4)
    p = probability(model, ids, a.target, 4)
    top = largest(a.scores, 3)
    replaced = gb.faithfulness(model, None, a, how="replace", replacement=7)
    assert replaced.how == "replace by '7'"
    lost = p - probability(model, ids.where(~top, 7), a.target, 4)
    assert replaced.comprehensiveness[3] == pytest.approx(lost, abs=1e-9)
    masked = gb.faithfulness(model, None, a, how="mask")
    assert masked.how == "mask"
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=(~top)[None].long()).logits
    assert masked.comprehensiveness[3] == pytest.approx(p - float(logits[0, 4].softmax(-1)[a.target]), abs=1e-9)
    assert replaced.comprehensiveness[3] != pytest.approx(masked.comprehensiveness[3], abs=1e-6)


@pytest.fixture
def framed(word_pieces):
    """A tokenizer that puts [CLS] and [SEP] around each text, as BERT's does."""
    tokenizer = copy.deepcopy(word_pieces)
    names = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=names)
    return tokenizer


def test_what_the_tokenizer_adds_is_never_removed(build, framed):
    model, text = build("bert", dtype=torch.float64), "the unseen tower"  # [CLS] the un ##seen tower [SEP]
    a = gb.explain(model, framed, text, method="random", position=2)
    a.scores = torch.tensor([9.0, 1.0, 4.0, 2.0, 3.0, 8.0])
    found = faithfulness(model, framed, a, k=(1, 4, 7), shares=(0.5,))
    assert found.tokens == {1: 1, 4: 4, 7: 4, 0.5: 2}  # of four words
    ids, p = a.ids[None], probability(model, a.ids[None], a.target, 2)
    # Without "un", f is read at the token before it.
    assert found.comprehensiveness[1] == pytest.approx(p - probability(model, ids[:, [0, 1, 3, 4, 5]], a.target, 1))
    assert found.sufficiency[1] == pytest.approx(p - probability(model, ids[:, [0, 2, 5]], a.target, 1))
    assert found.sufficiency[4] == found.sufficiency[7] == 0
    assert found.comprehensiveness[7] == pytest.approx(p - probability(model, ids[:, [0, 5]], a.target, 0))


@pytest.mark.parametrize("how", ["delete", "replace", "mask"])
def test_keeping_all_words_is_exactly_sufficient(model, tokenizer, how):
    a = gb.explain(model, tokenizer, SENTENCE, method="random")
    found = faithfulness(model, tokenizer, a, k=(1, 99), how=how, replacement="The" if how == "replace" else None)
    assert found.sufficiency[99] == 0
    assert found.sufficiency[1] != 0


def test_scaling_the_scores_changes_nothing(model, tokenizer):
    a = gb.explain(model, tokenizer, SENTENCE, method="random")
    before = faithfulness(model, tokenizer, a)
    a.scores = 7 * a.scores
    assert faithfulness(model, tokenizer, a) == before
    a.scores = -a.scores
    assert faithfulness(model, tokenizer, a) != before


def test_ratios(model):
    ids = torch.randint(1, 300, (1, 8))
    a = attribution_of(model, ids)
    plain, ratio = faithfulness(model, None, a), faithfulness(model, None, a, normalized=True)
    for size in plain.tokens:
        assert ratio.comprehensiveness[size] == pytest.approx(plain.comprehensiveness[size] / plain.value)
        assert ratio.sufficiency[size] == pytest.approx(plain.sufficiency[size] / plain.value)
    assert plain.value == ratio.value < 1


def test_the_ratio_is_undefined_where_the_probability_vanishes(model):
    ids = torch.randint(1, 300, (1, 8))
    with torch.no_grad():
        least = int(model(ids).logits[0, -1].argmin())
    a = attribution_of(model, ids, target=least)
    assert faithfulness(model, None, a).value < 1e-3
    with pytest.warns(UserWarning, match="too small to divide by: the ratios are undefined"):
        found = faithfulness(model, None, a, normalized=True)
    assert all(
        map(math.isnan, [*found.comprehensiveness.values(), *found.sufficiency.values(), found.aopc_sufficiency])
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not math.isnan(faithfulness(model, None, a).aopc_sufficiency)


def test_a_foil_is_judged_by_the_probability_between_the_two(model):
    ids = torch.randint(1, 300, (1, 8))
    a = attribution_of(model, ids, target=5, foil=6)
    with torch.no_grad():
        two = model(ids).logits[0, -1, [5, 6]].softmax(-1)
    assert faithfulness(model, None, a).value == pytest.approx(float(two[0]), abs=1e-6)


def test_a_function_is_judged_by_its_value(model):
    def loudest(output):
        return output.logits[:, -1].amax()

    a = attribution_of(model, torch.randint(1, 300, (1, 8)), target=loudest)
    assert faithfulness(model, None, a).value == pytest.approx(a.value)
    assert faithfulness(model, None, a).value > 1


@pytest.mark.parametrize("of", ["logit", "logprob", "prob"])
def test_whatever_was_explained_its_probability_is_judged(model, of):
    ids = torch.randint(1, 300, (1, 8))
    a = attribution_of(model, ids, of=of)
    assert faithfulness(model, None, a).value == pytest.approx(probability(model, ids, a.target), abs=1e-6)
    assert question_of(model, None, a, of).of == of


def test_classes(build):
    model, ids = build("bert-classifier"), torch.randint(1, 300, (1, 8))
    a = attribution_of(model, ids, target="good")
    with torch.no_grad():
        p = model(ids).logits[0].softmax(-1)[2]
    assert faithfulness(model, None, a).value == pytest.approx(float(p), abs=1e-6)


def test_the_value_function_reads_which_tokens_are_kept(model):
    ids = torch.randint(1, 300, (1, 6))
    a = attribution_of(model, ids)
    value = value_when_kept(question_of(model, None, a))
    kept = torch.tensor([[1, 1, 1, 1, 1, 1], [0, 1, 0, 1, 1, 1]]).bool()
    by_hand = [probability(model, ids, a.target), probability(model, ids[:, kept[1]], a.target)]
    assert value(kept).tolist() == pytest.approx(by_hand, abs=1e-6)


def test_the_result_says_what_it_is(model, tokenizer):
    a = gb.explain(model, tokenizer, SENTENCE, method="random")
    found = faithfulness(model, tokenizer, a, how="replace", replacement=" Paris")
    shown = repr(found)
    assert a.heading in shown and "replace by ' Paris'" in shown and "differences" in shown and "AOPC" in shown
    table = found.table()
    assert list(table.index) == ["k = 1", "k = 3", "k = 5", "1%", "5%", "10%", "20%", "50%", "AOPC"]
    assert table.loc["k = 3", "comprehensiveness"] == found.comprehensiveness[3]
    assert table.loc["AOPC", "sufficiency"] == found.aopc_sufficiency


def test_bad_input(model, tokenizer, framed):
    a = gb.explain(model, tokenizer, SENTENCE, method="random")
    for options, message in [
        (dict(k=(0,)), r"k is \(0,\); allowed: whole numbers from 1"),
        (dict(k=(1.5,)), "allowed: whole numbers from 1"),
        (dict(shares=(1.0,)), "a share is 1.0; allowed: between 0 and 1"),
        (dict(shares=(0,)), "a share is 0; allowed"),
        (dict(k=(), shares=()), "neither k nor shares"),
        (dict(how="blur"), "how='blur' is no way"),
    ]:
        with pytest.raises(InputError, match=message):
            faithfulness(model, tokenizer, a, **options)
    with pytest.raises(InputError, match="allowed: one by tokens"):
        faithfulness(model, tokenizer, a.words())
    with pytest.raises(InputError, match="the tokens of another tokenizer"):
        faithfulness(model, framed, a)
    only_added = gb.explain(model, framed, torch.tensor([[2, 3]]), method="random")  # [CLS] [SEP]
    with pytest.raises(InputError, match="there is no token in the text that may be removed"):
        faithfulness(model, framed, only_added)
    a.scores[0] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        faithfulness(model, tokenizer, a)
