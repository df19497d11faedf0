"""What is explained: text, position, target, foil and reading; and what every bad question is told."""

import pytest
import torch

import glassbox as gb
from glassbox.errors import InputError, ModelError
from glassbox.question import Question

TEXT = "The Eiffel Tower is in"
METHODS = list(gb.METHODS)


@pytest.fixture(params=METHODS)
def ask(request, model, tokenizer):
    """Explain TEXT, or another text, by each method in turn."""

    def ask(text=TEXT, **arguments):
        return gb.explain(model, tokenizer, text, method=request.param, **arguments)

    return ask


@pytest.fixture
def logits(model, tokenizer):
    return model(torch.tensor([tokenizer(TEXT)["input_ids"]])).logits[0].detach()  # (seq, vocabulary)


def test_default_is_the_models_own_prediction_at_the_end(ask, logits, tokenizer):
    a = ask()
    assert a.target == int(logits[-1].argmax())
    assert a.target_token == tokenizer.decode([a.target])
    assert (a.position, a.of, a.foil, a.foil_token) == (4, "logit", None, None)
    assert a.value == pytest.approx(float(logits[-1].max()), abs=1e-5)
    assert a.tokens == ["The", " Eiffel", " Tower", " is", " in"]


def test_target_by_word_and_by_number(ask, tokenizer):
    number = tokenizer.convert_tokens_to_ids("ĠParis")
    by_word, by_number = ask(target=" Paris"), ask(target=number)
    assert by_word.target == by_number.target == number
    assert by_word.target_token == by_number.target_token == " Paris"
    assert by_word.value == by_number.value
    assert ask(target=torch.tensor(number)).target == number


@pytest.mark.parametrize(("of", "reading"), [("logit", lambda x: x), ("logprob", lambda x: x.log_softmax(-1)),
                                             ("prob", lambda x: x.softmax(-1))])  # fmt: skip
def test_readings(ask, logits, of, reading):
    a = ask(target=7, position=2, of=of)
    assert a.of == of
    assert a.value == pytest.approx(float(reading(logits[2])[7]), abs=1e-5)


def test_foil_is_a_difference_of_logits(ask, logits, tokenizer):
    a = ask(target=" Paris", foil=" London")
    paris, london = (tokenizer.convert_tokens_to_ids(piece) for piece in ("ĠParis", "ĠLondon"))
    assert (a.target, a.foil, a.foil_token) == (paris, london, " London")
    assert a.value == pytest.approx(float(logits[-1, paris] - logits[-1, london]), abs=1e-5)
    assert "' Paris' rather than ' London'" in repr(a)


def test_function_as_target(ask, logits):
    def last_logits_mean(output):
        return output.logits[0, -1].mean()

    a = ask(target=last_logits_mean)
    assert a.target is last_logits_mean
    assert (a.target_token, a.of) == ("last_logits_mean", "function")
    assert a.value == pytest.approx(float(logits[-1].mean()), abs=1e-5)


def test_position_counts_from_either_end(ask):
    assert torch.equal(ask(position=1).scores, ask(position=-4).scores)
    assert ask(position=-4).position == 1
    a = ask(position=1)
    # A draw, a window that reaches back, and a fit to a sample give something to later tokens, too.
    if a.method not in ("random", "occlusion", "lime"):
        assert a.scores[2:].abs().max() < 1e-9  # later tokens can't matter in a causal model


@pytest.mark.parametrize("method", ["attention", "rollout"])
def test_attention_methods_do_not_see_the_target(model, tokenizer, method):
    asked = (dict(target=" Paris"), dict(target=3, foil=4))
    paris, other = (gb.explain(model, tokenizer, TEXT, method=method, **question) for question in asked)
    assert torch.equal(paris.scores, other.scores)


# Without a tokenizer there is no start token that could stand for a text of which nothing is left.
WITHOUT_A_TOKENIZER = dict.fromkeys(("lime", "kernel_shap", "occlusion"), dict(how="replace", replacement=5))


def test_ids_without_a_tokenizer(ask, model, tokenizer):
    ids = torch.tensor([tokenizer(TEXT)["input_ids"]])
    with_words = ask()
    for method in METHODS:
        a = gb.explain(model, None, ids, method=method, **WITHOUT_A_TOKENIZER.get(method, {}))
        assert a.tokens == [str(number) for number in ids[0].tolist()]
        assert a.target_token == str(a.target) and a.target == with_words.target
    assert torch.equal(ask(ids).scores, with_words.scores)
    assert ask(ids.tolist()).tokens == with_words.tokens


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert"])  # BERT's head can't be asked for some positions alone
def test_a_run_holds_the_logits_of_the_positions_asked_for(build, name):
    model, ids = build(name), torch.tensor([[3, 9, 4, 1, 5]])
    with torch.no_grad():
        everywhere = model(input_ids=ids).logits  # (1, seq, vocabulary)
        question = Question.ask(model, None, ids, None, None, 3, "logit")
        torch.testing.assert_close(question.run().logits, everywhere[:, [3]])
        torch.testing.assert_close(question.run(positions=[4, 0, 2]).logits, everywhere[:, [4, 0, 2]])
        of_a_function = Question.ask(model, None, ids, lambda output: output.logits.sum(), None, 3, "logit")
        assert torch.equal(of_a_function.run().logits, everywhere)


def test_the_whole_text_is_read_also_where_it_holds_the_padding_token(build):
    model, seen = build("gpt2"), []
    model.config.pad_token_id = 0
    model.register_forward_pre_hook(lambda _, args, more: seen.append(more["attention_mask"]), with_kwargs=True)
    for method in METHODS:
        gb.explain(model, None, torch.tensor([[0, 5, 0]]), method=method, **WITHOUT_A_TOKENIZER.get(method, {}))
    assert len(seen) >= len(METHODS) and all(mask.all() for mask in seen)


# Every bad question, and the words that it is answered with.
BAD = {
    "empty text": (dict(text=""), "the text is empty"),
    "blank text": (dict(text=" \n"), "the text is empty"),
    "too long a text": (dict(text="The" * 25), "has 25 tokens, and the model reads at most 24"),
    "too many ids": (dict(text=torch.ones(1, 25, dtype=torch.long)), "has 25 tokens, and the model reads at most 24"),
    "flat ids": (dict(text=torch.tensor([1, 2])), r"shape \(2,\); allowed: \(1, seq\)"),
    "two texts": (dict(text=torch.ones(2, 3, dtype=torch.long)), r"shape \(2, 3\); allowed: \(1, seq\)"),
    "no ids": (dict(text=torch.ones(1, 0, dtype=torch.long)), r"shape \(1, 0\); allowed: \(1, seq\)"),
    "fractions as ids": (dict(text=torch.ones(1, 3)), "token ids are torch.float32; allowed: whole numbers"),
    "ids that do not exist": (dict(text=torch.tensor([[1, 300]])), "run from 1 to 300; this model's are 0 to 299"),
    "negative ids": (dict(text=torch.tensor([[-1, 3]])), "run from -1 to 3; this model's are 0 to 299"),
    "words in a list": (dict(text=["The", "Tower"]), "text is a list; allowed: a string, or token ids"),
    "all that a tokenizer gives": (dict(text={"input_ids": [[1]]}), r'pass its token ids, text\["input_ids"\]'),
    "position after the end": (dict(position=5), "there is no position 5; allowed: -5 to 4"),
    "position before the start": (dict(position=-6), "there is no position -6; allowed: -5 to 4"),
    "position in words": (dict(position="last"), "position is 'last'; allowed: a whole number"),
    "target of several tokens": (dict(target=" Berlin"), "target ' Berlin' is not one token but 7: ' ' and 'B' and"),
    "target without its space": (
        dict(target="Paris"),
        "is not one token but 5: .*with a space in front, ' Paris' is one",
    ),
    "empty target": (dict(target=""), "target '' is not one token but 0: nothing"),
    "target out of range": (dict(target=300), "target 300 is no token of this model; allowed: 0 to 299"),
    "negative target": (dict(target=-1), "target -1 is no token of this model; allowed: 0 to 299"),
    "truth value as target": (dict(target=True), "target True is no token of this model; allowed: 0 to 299"),
    "fraction as target": (dict(target=1.5), "target is 1.5; allowed: a token, its number, a function, or None"),
    "foil of several tokens": (dict(foil="Berlin"), "foil 'Berlin' is not one token but 6"),
    "function as foil": (dict(foil=len), "foil is .*; allowed: a token, its number, or None"),
    "foil equal to target": (dict(target=" Paris", foil=" Paris"), "target and foil are the same .' Paris'."),
    "foil with a probability": (dict(foil=" Paris", of="prob"), "of='prob' does not go with a foil"),
    "function with a probability": (
        dict(target=len, of="prob"),
        "of='prob' does not go with a target that is a function",
    ),
    "function with a foil": (dict(target=len, foil=3), "a function must subtract its foil itself"),
    "function that gives a row": (dict(target=lambda o: o.logits[0, -1]), r"gave \(300,\); allowed: .* one scalar"),
    "function that gives no tensor": (dict(target=lambda o: 1.0), "gave float; allowed: .* one scalar"),
    "function that gives nan": (
        dict(target=lambda o: o.logits.sum() * torch.nan),
        "gave nan; allowed: a finite scalar",
    ),
    "unknown reading": (dict(of="odds"), "of='odds' can't be explained; allowed: 'logit', 'logprob', 'prob'"),
    "unknown option": (dict(colour="red"), "has no option 'colour'; allowed: 'target', 'foil', 'position', 'of'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_question(ask, case):
    arguments, message = BAD[case]
    with pytest.raises(InputError, match=message):
        ask(**arguments)


def test_foil_equal_to_the_models_own_prediction(ask):
    with pytest.raises(InputError, match="target and foil are the same"):
        ask(foil=ask().target)


def test_unknown_method(model, tokenizer):
    with pytest.raises(InputError, match="unknown method 'magic'; allowed: 'attention', 'rollout'"):
        gb.explain(model, tokenizer, TEXT, method="magic")


@pytest.mark.parametrize("method", METHODS)
class TestModels:
    def test_text_without_a_tokenizer(self, model, method):
        with pytest.raises(InputError, match="a text needs its tokenizer"):
            gb.explain(model, None, TEXT, method=method)

    def test_word_as_target_without_a_tokenizer(self, model, method):
        with pytest.raises(InputError, match="target ' Paris' needs a tokenizer; without one, pass the token's id"):
            gb.explain(model, None, torch.tensor([[1, 2]]), method=method, target=" Paris")

    def test_infinite_logits(self, build, tokenizer, method):
        model = build("gpt2")
        model.transformer.ln_f.bias.data[0] = torch.inf
        with pytest.raises(ModelError, match="logits are not finite"):
            gb.explain(model, tokenizer, TEXT, method=method)

    def test_classes(self, build, word_pieces, method):
        model = build("bert-classifier")
        ids = torch.tensor([[2, 6, 7, 3]])
        logits = model(ids).logits[0].detach()
        a = gb.explain(model, word_pieces, ids, method=method, target="good", foil="bad")
        assert (a.target, a.target_token, a.foil, a.foil_token) == (2, "good", 0, "bad")
        assert a.value == pytest.approx(float(logits[2] - logits[0]), abs=1e-5)
        if method in ("attention", "rollout"):
            assert a.position == 0  # BERT's head reads [CLS], not the last token
        assert gb.explain(model, word_pieces, ids, method=method, position=1).position == 1
        own = gb.explain(model, None, ids, method=method, **WITHOUT_A_TOKENIZER.get(method, {}))
        assert own.target == int(logits.argmax()) and own.target_token == model.config.id2label[own.target]

    def test_unknown_class(self, build, word_pieces, method):
        with pytest.raises(
            InputError, match="target 'great' is no class of this model; allowed: 'bad', 'fair', 'good'"
        ):
            gb.explain(build("bert-classifier"), word_pieces, "the tower", method=method, target="great")
        with pytest.raises(InputError, match="target 3 is no class of this model; allowed: 0 to 2"):
            gb.explain(build("bert-classifier"), word_pieces, "the tower", method=method, target=3)

    def test_model_without_a_head(self, build, word_pieces, method):
        model = build("bare bert")
        with pytest.raises(ModelError, match="BertModel predicts nothing .*pass a target that makes one scalar"):
            gb.explain(model, word_pieces, "the tower", method=method)
        a = gb.explain(model, word_pieces, "the tower", method=method, target=lambda o: o.last_hidden_state[0, 0, 0])
        assert a.of == "function"


@pytest.mark.parametrize("method", ["attention", "rollout"])
def test_sdpa_is_refused(build, tokenizer, method):
    with pytest.raises(ModelError, match="only eager attention keeps them. Load the model with glassbox.load"):
        gb.explain(build("gpt2", "sdpa"), tokenizer, TEXT, method=method)


@pytest.mark.parametrize("method", ["attention", "rollout"])
def test_nan_weights(build, tokenizer, method):
    model = build("gpt2")
    model.transformer.h[-1].attn.c_attn.weight.data[0, 0] = torch.nan
    with pytest.raises(InputError, match=r"layer \d are not finite .*look at the model's weights"):
        gb.explain(model, tokenizer, TEXT, method=method)
