"""The smallest change, against going through all changes one by one; and what is refused."""

from itertools import combinations, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.glassbox.architectures import CLASSIFIERS, DECODERS, ENCODERS, build

import glassbox as gb
from glassbox.errors import InputError, ModelError

IDS = torch.tensor([[5, 17, 203, 44, 9]])


def answer_to(model, ids, position=-1):
    """The model's answer to one text, by itself in the batch, and its logits."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    logits = logits if logits.ndim == 1 else logits[position]
    return int(logits.argmax()), logits


def one_by_one(model, choices, most, wanted=None):
    """The best change by going through all of them, each run alone: (number of changes, margin) and the texts."""
    ids = IDS[0].tolist()
    answer, _ = answer_to(model, ids)
    for size in range(1, most + 1):
        found = {}
        for places in combinations(choices, size):
            for tokens in product(*(choices[place] for place in places)):
                text = list(ids)
                for place, token in zip(places, tokens, strict=True):
                    text[place] = token
                new, logits = answer_to(model, text)
                if new != answer and (wanted is None or new in wanted):
                    found[tuple(text)] = float(logits[new] - logits[answer])
        if found:
            best = max(found, key=found.get)
            return size, best, found[best]
    return None


@pytest.mark.parametrize("name", [*DECODERS, *CLASSIFIERS])
def test_it_is_the_best_of_all_that_were_tried(name):
    model = build(name)
    choices = {1: [30, 31, 32], 2: [60, 61], 4: [77, 78, 79]}
    expected = one_by_one(model, choices, 3)
    found = gb.counterfactual(model, None, IDS, choices=choices, most=3)
    if expected is None:
        assert found is None
        return
    size, text, margin = expected
    assert (len(found.changes), tuple(found.ids.tolist())) == (size, text)
    assert found.margin == pytest.approx(margin, abs=1e-4)
    assert found.instead != found.answer


def test_it_was_found_for_most_models_at_all():
    """So that the comparison above is about something."""
    choices = {1: [30, 31, 32], 2: [60, 61], 4: [77, 78, 79]}
    assert sum(gb.counterfactual(build(name), None, IDS, choices=choices, most=3) is not None for name in DECODERS) >= 6


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), most=st.integers(1, 2))
def test_what_comes_back_was_seen_on_the_model(seed, most):
    model = build("gpt2")
    ids = torch.randint(3, 200, (1, 6), generator=torch.Generator().manual_seed(seed))
    found = gb.counterfactual(model, None, ids, choices=3, most=most)
    if found is None:
        return
    before, after = answer_to(model, ids[0].tolist())[0], answer_to(model, found.ids.tolist())[0]
    assert (str(before), str(after)) == (found.answer, found.instead) and before != after
    different = (found.ids != ids[0]).nonzero()[:, 0].tolist()
    assert different == [place for place, _, _ in found.changes] and len(different) <= most
    for place, old, new in found.changes:
        assert (old, new) == (str(int(ids[0, place])), str(int(found.ids[place])))


def test_only_wanted_answers_count():
    model = build("gpt2")
    choices = {place: list(range(20, 60)) for place in range(5)}
    anything = gb.counterfactual(model, None, IDS, choices=choices, most=1)
    answers = {answer_to(model, [*IDS[0, :p].tolist(), t, *IDS[0, p + 1 :].tolist()])[0]
               for p in choices for t in choices[p]} - {answer_to(model, IDS[0].tolist())[0]}  # fmt: skip
    other = next(answer for answer in sorted(answers) if str(answer) != anything.instead)
    found = gb.counterfactual(model, None, IDS, wanted=[other], choices=choices, most=1)
    assert found.instead == str(other)
    never = min(set(range(300)) - answers - {answer_to(model, IDS[0].tolist())[0]})
    assert gb.counterfactual(model, None, IDS, wanted=[never], choices=choices, most=1) is None


def test_choices_are_the_words_that_the_model_finds_probable(smallworld_model):
    model, tokenizer = smallworld_model
    text = "The Eiffel Tower is located in the city of"
    cities = [" London", " Prague", " Rome", " Tokyo", " Moscow"]
    found = gb.counterfactual(model, tokenizer, text, wanted=cities, choices=5, most=1)
    (change,) = found.changes
    with torch.no_grad():
        probable = model(tokenizer(text, return_tensors="pt")["input_ids"]).logits[0, change[0] - 1].topk(6).indices
    assert change[2] in [tokenizer.decode(token) for token in probable]
    assert found.answer == " Paris" and found.instead in cities
    assert found.tried == 5 * 9 and "Paris' becomes" in repr(found)


def test_the_start_token_stays(smallworld_model):
    model, tokenizer = smallworld_model
    found = gb.counterfactual(model, tokenizer, "The keys near the cabinet", choices=3, most=1)
    assert found.ids[0] == tokenizer.bos_token_id and all(place > 0 for place, _, _ in found.changes)


def test_a_position_in_the_middle():
    model = build("gpt2")
    found = gb.counterfactual(model, None, IDS, choices=4, most=1, position=2)
    assert all(place <= 2 for place, _, _ in found.changes)
    assert str(answer_to(model, found.ids.tolist(), 2)[0]) == found.instead


def test_a_model_that_does_not_write_needs_choices():
    for name in (*ENCODERS, *CLASSIFIERS):
        with pytest.raises((ModelError, InputError)):
            gb.counterfactual(build(name), None, IDS, choices=3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"most": 0}, "most is 0"),
        ({"choices": 0}, "choices is 0"),
        ({"choices": {9: [1]}}, "place 9; allowed: 0 to 4"),
        ({"choices": {1: [300]}}, "300 is no token of this model; allowed: 0 to 299"),
        ({"wanted": []}, "a list of one answer or more"),
        ({"wanted": " Paris"}, "a list of one answer or more"),
        ({"choices": 200, "most": 3}, "allowed: 50000"),
    ],
)
def test_what_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        gb.counterfactual(build("gpt2"), None, IDS, **options)


def test_the_present_answer_is_not_another_one():
    model = build("gpt2")
    with pytest.raises(InputError, match="answers already"):
        gb.counterfactual(model, None, IDS, wanted=[answer_to(model, IDS[0].tolist())[0]])
