"""The tuned lens: where it starts, what training does to it, what it is bound to, and the one that ships."""

import pytest
import torch
from tests.glassbox.architectures import CLASSIFIERS, DECODERS, ENCODERS

import glassbox as gb
from glassbox.errors import InputError, ModelError
from glassbox.reading import tuned_lens
from glassbox.reading.tuned_lens import TunedLens, fingerprint
from smallworld import FAMILIES, sample

IDS = torch.tensor([[5, 17, 203, 44, 9, 120, 61]])
LAYERS, WIDTH = 3, 32  # of the small models


def identity(model):
    return TunedLens(torch.zeros(LAYERS, WIDTH, WIDTH), torch.zeros(LAYERS, WIDTH), fingerprint(model))


def random_texts(count, seed=0, lengths=(3, 9)):
    draw = torch.Generator().manual_seed(seed)
    return [
        torch.randint(300, (1, int(torch.randint(*lengths, (), generator=draw))), generator=draw) for _ in range(count)
    ]


def mean_divergence(model, texts, lens=None):
    """KL to the model's own distribution at each layer, mean over all tokens of the texts."""
    return torch.cat([gb.logit_lens(model, None, ids, lens=lens).divergence() for ids in texts], dim=1).mean(1)


@pytest.mark.parametrize("name", [*DECODERS, "opt-350m"])
def test_the_identity_is_the_logit_lens(build, name):
    model = build(name)
    tuned, plain = gb.logit_lens(model, None, IDS, lens=identity(model)), gb.logit_lens(model, None, IDS)
    assert torch.equal(tuned.logits, plain.logits)
    assert (tuned.name, plain.name) == ("tuned lens", "logit lens")


def test_each_layer_passes_its_own_map_and_the_last_none(build):
    model = build("gpt2")
    lens = identity(model)
    lens.maps.normal_(generator=torch.Generator().manual_seed(0)).mul_(0.1)
    lens.shifts.normal_(generator=torch.Generator().manual_seed(1))
    reading = gb.logit_lens(model, None, IDS, lens=lens, positions=[2, 5])
    with torch.no_grad():
        output = model(input_ids=IDS, output_hidden_states=True, use_cache=False)
        for layer in range(LAYERS):
            for row, place in enumerate((2, 5)):
                hidden = output.hidden_states[layer][0, place]
                moved = hidden + lens.shifts[layer]
                for i in range(WIDTH):
                    moved[i] += sum(lens.maps[layer, i, j] * hidden[j] for j in range(WIDTH))
                logits = model.lm_head(model.transformer.ln_f(moved))
                assert torch.allclose(reading.logits[layer, row], logits, atol=1e-5)
    assert torch.equal(reading.logits[-1], output.logits[0, [2, 5]])


@pytest.mark.parametrize("name", DECODERS)
def test_training_brings_every_layer_nearer_to_the_end(build, name):
    model = build(name)
    lens = tuned_lens.train(model, None, random_texts(64), steps=40, batch_size=16, learning_rate=3e-3)
    unseen = random_texts(20, seed=1)
    before, after = mean_divergence(model, unseen), mean_divergence(model, unseen, lens)
    assert (after[:-1] < 0.95 * before[:-1]).all(), (before, after)
    assert after[-1] == 0


def test_the_first_step_goes_down_the_slope_of_the_divergence(build):
    """Adam's first step has the learning rate's size along the sign of the gradient, which finite differences give."""
    model, texts = build("gpt2", dtype=torch.float64), [IDS]
    lens = tuned_lens.train(model, None, texts, steps=1, batch_size=1, learning_rate=1e-4)

    def divergence(layer, row, column, step):
        maps, shifts = torch.zeros(LAYERS, WIDTH, WIDTH), torch.zeros(LAYERS, WIDTH)
        if column is None:
            shifts[layer, row] = step
        else:
            maps[layer, row, column] = step
        return mean_divergence(model, texts, TunedLens(maps, shifts, fingerprint(model)))[layer]

    for layer, row, column in [(0, 3, 5), (0, 30, None), (1, 7, 2), (1, 0, None), (2, 31, 31), (2, 12, None)]:
        slope = divergence(layer, row, column, 1e-2) - divergence(layer, row, column, -1e-2)
        moved = lens.shifts[layer, row] if column is None else lens.maps[layer, row, column]
        assert float(moved) == pytest.approx(-1e-4 * float(slope.sign()), rel=1e-3)


def test_padding_and_batches_change_nothing_but_rounding(build):
    """A batch of texts of several lengths gives the hidden states and the distribution of each of them alone."""
    model = build("llama")
    texts = [ids[0] for ids in random_texts(5)]
    hidden, final = tuned_lens._run(model, gb.anatomy(model).blocks, texts)
    start = 0
    for ids in texts:
        one, alone = tuned_lens._run(model, gb.anatomy(model).blocks, [ids])
        part = slice(start, start := start + len(ids))
        assert all(torch.allclose(many[part], single, atol=1e-5) for many, single in zip(hidden, one, strict=True))
        assert torch.allclose(final[part], alone, atol=1e-5)
    assert len(final) == start


def test_the_same_seed_gives_the_same_lens(build):
    model, texts = build("gpt2"), random_texts(30)
    one, again, other = (tuned_lens.train(model, None, texts, steps=3, seed=seed) for seed in (4, 4, 5))
    assert torch.equal(one.maps, again.maps) and torch.equal(one.shifts, again.shifts)
    assert not torch.equal(one.maps, other.maps)


def test_training_leaves_the_model_and_its_gradients_as_they_were(build):
    model = build("gpt2").train()
    model.lm_head.weight.grad = torch.ones_like(model.lm_head.weight)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    lens = tuned_lens.train(model, None, [IDS], steps=2)
    for switch in (torch.no_grad, torch.inference_mode):
        with switch():  # a caller's
            assert torch.equal(tuned_lens.train(model, None, [IDS.clone()], steps=2).maps, lens.maps)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training and bool((model.lm_head.weight.grad == 1).all())
    assert [p.grad is None for p in model.parameters()].count(False) == 1


def test_half_precision(build):
    half, full = build("llama", dtype=torch.bfloat16), build("llama")
    lens = tuned_lens.train(half, None, random_texts(64), steps=40, learning_rate=3e-3)
    assert lens.maps.dtype == torch.float32
    unseen = random_texts(20, seed=1)
    assert (mean_divergence(half, unseen, lens)[:-1] < 0.95 * mean_divergence(half, unseen)[:-1]).all()
    with pytest.raises(ModelError):
        lens.check(full)


def test_progress_is_shown_when_asked_for(build, capsys, monkeypatch):
    monkeypatch.setattr("glassbox.bar.SECONDS", 0.0)
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    tuned_lens.train(build("gpt2"), None, [IDS], steps=2)
    assert capsys.readouterr() == ("", "")
    tuned_lens.train(build("gpt2"), None, [IDS], steps=2, progress=True)
    assert "KL=" in capsys.readouterr().out


def test_saved_and_loaded_it_is_the_same(build, tmp_path):
    model = build("gpt2")
    lens = tuned_lens.train(model, None, random_texts(8), steps=3, batch_size=4)
    lens.save(tmp_path / "tuned_lens.safetensors")
    for name in (tmp_path, tmp_path / "tuned_lens.safetensors"):
        again = gb.tuned_lens.load(name)
        assert torch.equal(again.maps, lens.maps) and torch.equal(again.shifts, lens.shifts)
        assert again.fingerprint == lens.fingerprint and repr(again) == repr(lens)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["tuned_lens.safetensors"]
    assert (tmp_path / "tuned_lens.safetensors").stat().st_mode & 0o777 == 0o644
    lens.save(tmp_path / "half", dtype=torch.float16)
    half = gb.tuned_lens.load(tmp_path / "half")
    assert half.maps.dtype == torch.float32
    assert torch.allclose(half.maps, lens.maps, rtol=1e-3, atol=1e-6)
    assert (tmp_path / "half").stat().st_size < 0.6 * (tmp_path / "tuned_lens.safetensors").stat().st_size


def test_it_is_bound_to_its_model(build):
    model = build("gpt2")
    lens = identity(model)
    gb.logit_lens(model, None, IDS, lens=lens)
    lens.check(build("gpt2", dtype=torch.float64))  # the same numbers
    for other in (build("gpt2", seed=1), build("llama")):
        with pytest.raises(ModelError, match="trained for other weights than this model's"):
            gb.logit_lens(other, None, IDS, lens=lens)
    with torch.no_grad():
        model.transformer.h[1].ln_2.bias += 1e-3
    with pytest.raises(ModelError, match="trained for other weights"):
        lens.check(model)


def test_no_lens_there(tmp_path):
    with pytest.raises(ModelError, match="there is no tuned lens in"):
        gb.tuned_lens.load(tmp_path)
    with pytest.raises(ModelError, match="there is no folder"):
        gb.tuned_lens.load(tmp_path / "nowhere")
    (tmp_path / "tuned_lens.safetensors").write_bytes(b"no tensors in here")
    with pytest.raises(ModelError, match="there is no tuned lens in"):
        gb.tuned_lens.load(tmp_path)


def test_the_norm_belongs_to_it(build):
    model = build("gpt2")
    with pytest.raises(InputError, match="a tuned lens is trained with it; allowed: norm=True"):
        gb.logit_lens(model, None, IDS, lens=identity(model), norm=False)


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ([], {}, "texts are .*; allowed: a list of texts"),
        ("The Tower", {}, "texts are 'The Tower'; allowed: a list"),
        ([IDS], dict(steps=0), "allowed: steps and batch_size of 1 or more"),
        ([IDS], dict(batch_size=0), "allowed: steps and batch_size of 1 or more"),
        ([IDS], dict(learning_rate=0), "a learning_rate above 0"),
        ([IDS, torch.zeros(1, 25, dtype=torch.long)], {}, "the text has 25 tokens, and the model reads at most 24"),
    ],
)
def test_bad_input(build, texts, options, message):
    with pytest.raises(InputError, match=message):
        tuned_lens.train(build("gpt2"), None, texts, **options)


@pytest.mark.parametrize("name", [*ENCODERS, *CLASSIFIERS, "bare bert"])
def test_a_model_that_does_not_predict_the_next_word(build, name):
    with pytest.raises(ModelError, match="has no tuned lens; allowed: a decoder that predicts words"):
        tuned_lens.train(build(name), None, [IDS])


@pytest.fixture(scope="module")
def shipped():
    return gb.tuned_lens.load("smallworld")


def test_the_shipped_lens_belongs_to_the_shipped_model(smallworld_model, shipped):
    shipped.check(smallworld_model[0])
    assert (shipped.maps.shape, shipped.shifts.shape) == ((6, 192, 192), (6, 192))


def test_the_shipped_lens_is_nearer_to_the_end_at_each_layer(smallworld_model, shipped):
    model, tokenizer = smallworld_model
    texts = [sentence.prompt for family in FAMILIES for sentence in sample(family, 3, seed=11)]
    ids = [tokenizer(text, return_tensors="pt")["input_ids"] for text in texts]
    plain, tuned = mean_divergence(model, ids), mean_divergence(model, ids, shipped)
    assert (tuned[:-1] < 0.5 * plain[:-1]).all(), (plain, tuned)
