"""What the course relies on, measured again on the shipped weights."""

import json

import pytest
import torch

from smallworld import FAMILIES, report, sample, training


@pytest.fixture(scope="module")
def shipped():
    return training.shipped()


@pytest.fixture(scope="module")
def measured(shipped):
    return report.measure(*shipped)


@pytest.mark.parametrize(("figure", "bound"), report.REQUIRED.items())
def test_the_model_knows_what_the_course_relies_on(measured, figure, bound):
    assert measured["figures"][figure] >= bound


def test_the_shipped_report_is_what_the_weights_give(measured):
    told = json.loads((training.WEIGHTS / "report.json").read_text())
    assert told["figures"] == pytest.approx(measured["figures"], abs=5e-3)
    assert told["families"] == pytest.approx(measured["families"], abs=0.01)
    assert told["evidence alone"] == pytest.approx(measured["evidence alone"], abs=0.01)
    assert told["heads"] == {name: list(place) for name, place in measured["heads"].items()}


def test_the_weights_are_small_and_load_as_any_model():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert sum(file.stat().st_size for file in training.WEIGHTS.glob("*")) < 12e6
    model = AutoModelForCausalLM.from_pretrained(training.WEIGHTS)
    words = AutoTokenizer.from_pretrained(training.WEIGHTS)
    assert type(model).__name__ == "GPT2LMHeadModel"
    ids = words("The Eiffel Tower is located in the city of", return_tensors="pt")["input_ids"]
    assert words.decode(model(ids).logits[0, -1].argmax()) == " Paris"


def test_padding_does_not_change_what_follows(shipped):
    model, words = shipped
    prompts = [s.prompt for name in FAMILIES for s in sample(name, 2, seed=1)]
    together = report.next_words(model, words, prompts)
    for prompt, row in zip(prompts, together, strict=True):
        torch.testing.assert_close(report.next_words(model, words, [prompt])[0], row, atol=1e-4, rtol=1e-3)
