"""Training: a step is the same step again, texts that share a row do not see each other, stopping loses nothing."""

import json

import pytest
import torch

from smallworld import report, tokenizer, training


@pytest.fixture(scope="module")
def words():
    return tokenizer.build(training.CONTEXT)


@pytest.fixture(autouse=True)
def few_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_same_step_gives_the_same_batch(words):
    again = training.batch(3, words)
    for part, same in zip(training.batch(3, words), again, strict=True):
        assert part.shape == (training.ROWS, training.CONTEXT)
        assert torch.equal(part, same)
    assert not torch.equal(training.batch(4, words)[0], again[0])


def test_what_the_grammar_decides_weighs_most(words):
    tokens, positions, weights = training.batch(0, words)
    assert weights.unique().tolist() == pytest.approx([0.0, training.UNDECIDED_WEIGHT, 0.5, 1.0])
    assert not weights[positions == 0].any()  # no text foretells how the next one begins


def test_texts_of_one_row_are_blind_to_each_other(words):
    model = training.new_model(len(words)).eval()
    tokens, positions, _ = (part[:1] for part in training.batch(1, words))
    starts = [*(positions[0] == 0).nonzero().flatten().tolist(), training.CONTEXT]
    assert len(starts) > 3
    with torch.no_grad():
        together = model(input_ids=tokens, position_ids=positions, use_cache=False).logits
        for start, end in zip(starts[:3], starts[1:], strict=False):
            alone = model(tokens[:, start:end]).logits
            torch.testing.assert_close(together[:, start:end], alone, atol=1e-5, rtol=0)


def test_a_stopped_training_goes_on_to_the_same_model(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "ROWS", 1)
    monkeypatch.setattr(training, "SAVE_EVERY", 2)
    (tmp_path / "whole").mkdir()
    (tmp_path / "stopped").mkdir()
    whole, _ = training.train(tmp_path / "whole", 5)
    step = training.train_step
    done = []

    def interrupted(*args):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(1)
        return step(*args)

    monkeypatch.setattr(training, "train_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        training.train(tmp_path / "stopped", 5)
    monkeypatch.setattr(training, "train_step", step)
    resumed, _ = training.train(tmp_path / "stopped", 5)
    for ours, theirs in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_weights_at_the_ends_of_the_last_cycles_are_averaged(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "ROWS", 1)
    monkeypatch.setattr(training, "STEPS", 3)
    monkeypatch.setattr(training, "AVERAGED", (2, 3))
    whole, _ = training.train(tmp_path, 3)
    ends = [torch.load(tmp_path / f"weights-{end}.pt") for end in (2, 3)]
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(value, (ends[0][name] + ends[1][name]) / 2)
    assert not torch.equal(ends[0]["transformer.wte.weight"], ends[1]["transformer.wte.weight"])


def test_stages_and_learning_rate_cover_the_same_steps():
    rates = [training.learning_rate(step) for step in range(training.STEPS)]
    peaks = [peak for _, peak in training.CYCLES]
    assert max(rates) == peaks[0]
    assert [rates[length + training.WARMUP] for length in (0, training.CYCLES[0][0])] == pytest.approx(peaks[:2])
    assert training.stage_of(0) is training.STAGES[0]
    assert training.stage_of(training.STEPS - 1) is training.STAGES[-1]
    for beyond in (training.learning_rate, training.stage_of):
        with pytest.raises(ValueError, match=f"over after {training.STEPS} steps"):
            beyond(training.STEPS)


def test_the_report_on_a_model_that_knows_nothing(words):
    model = training.new_model(len(words)).eval()
    found = report.measure(model, words)
    assert found["figures"]["facts"] < 0.2
    assert found["figures"]["induction head"] < 0.2
    assert "MISSED" in report.in_words(found)


def test_saving_writes_a_model_that_loads_with_its_report(tmp_path, words, monkeypatch):
    found = {"figures": dict.fromkeys(report.REQUIRED, 0.5), "heads": {"a head": [0, 1]}}
    found |= {"families": {"facts": 0.5}, "evidence alone": {"facts": 0.25}}
    monkeypatch.setattr(report, "measure", lambda model, words: found)
    model = training.new_model(len(words)).eval()
    training.save(model, words, tmp_path / "weights")
    monkeypatch.setattr(training, "WEIGHTS", tmp_path / "weights")
    loaded, again = training.shipped()
    assert json.loads((tmp_path / "weights" / "report.json").read_text()) == found
    assert "0.500" in (tmp_path / "weights" / "README.md").read_text()
    ids = again("The Louvre Museum", return_tensors="pt")["input_ids"]
    torch.testing.assert_close(loaded(ids).logits, model(ids).logits, atol=2e-3, rtol=0)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["weights"]


def test_a_step_reads_each_text_from_position_zero(words):
    model = training.new_model(len(words))
    optimiser = torch.optim.AdamW(model.parameters())
    tokens, positions, weights = training.batch(0, words)
    loss = training.train_step(model, optimiser, (tokens, positions, weights), 0.0)
    in_a_row = torch.arange(training.CONTEXT).expand_as(positions)
    assert loss != training.train_step(model, optimiser, (tokens, in_a_row, weights), 0.0)
    assert loss == training.train_step(model, optimiser, (tokens, positions, weights), 0.0)
