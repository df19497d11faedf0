"""Loading, its errors, and that a model comes back as it was."""

import json
import threading

import pytest
import torch
from transformers import T5Config

import glassbox as gb
from glassbox.trace import undisturbed

IDS = torch.tensor([[1, 2, 3, 4]])


@pytest.fixture(scope="module")
def folder(build, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    build("gpt2").half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_load_from_a_folder(folder, build, capfd):
    model, tokenizer = gb.load(folder)
    assert type(model).__name__ == "GPT2LMHeadModel"
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    weights = model(IDS, output_attentions=True).attentions
    assert [layer.shape for layer in weights] == [(1, 4, 4, 4)] * 3
    stored = build("gpt2").transformer.wte.weight
    assert torch.equal(model.transformer.wte.weight, stored.half().float())
    assert tokenizer(" Paris")["input_ids"] == [tokenizer.convert_tokens_to_ids("ĠParis")]
    assert capfd.readouterr().err == ""  # nbgrader marks a cell that writes to stderr as wrong


def test_load_as_asked(folder):
    model, _ = gb.load(str(folder), dtype=torch.float16, attn_implementation="sdpa")
    assert model.dtype == torch.float16
    assert model.config._attn_implementation == "sdpa"


def test_load_keeps_the_head_that_was_saved(build, word_pieces, tmp_path):
    build("bert-classifier").save_pretrained(tmp_path)
    word_pieces.save_pretrained(tmp_path)
    model, _ = gb.load(tmp_path)
    assert type(model).__name__ == "BertForSequenceClassification"
    assert model.config.id2label == {0: "bad", 1: "fair", 2: "good"}


def test_missing_folder():
    with pytest.raises(gb.errors.ModelError, match="there is no folder './nowhere'"):
        gb.load("./nowhere")


def test_a_file_is_no_folder(folder):
    with pytest.raises(gb.errors.ModelError, match="is a file; give the folder that holds it"):
        gb.load(folder / "config.json")


def test_offline_and_not_cached(tmp_path):
    with pytest.raises(
        gb.errors.ModelError, match="could not load 'nobody/no-such-model': .*the spelling, or the network"
    ):
        gb.load("nobody/no-such-model", local_files_only=True, cache_dir=tmp_path)


def test_empty_folder(tmp_path):
    with pytest.raises(gb.errors.ModelError, match="must hold config.json, model.safetensors and the tokenizer"):
        gb.load(tmp_path)


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert"])
def test_folder_without_a_tokenizer(build, name, tmp_path):
    build(name).save_pretrained(tmp_path)
    with pytest.raises(gb.errors.ModelError, match="must hold .*tokenizer"):
        gb.load(tmp_path)


def test_wrong_kind(tmp_path):
    T5Config(architectures=["T5ForConditionalGeneration"]).save_pretrained(tmp_path)
    with pytest.raises(gb.errors.ModelError, match="of the kind T5ForConditionalGeneration; .*an encoder or a decoder"):
        gb.load(tmp_path)


def test_unknown_kind(folder, tokenizer, tmp_path):
    config = json.loads((folder / "config.json").read_text()) | {"architectures": ["NoSuchModel"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(gb.errors.ModelError, match="of the kind NoSuchModel"):
        gb.load(tmp_path)


def test_missing_weights_are_not_made_up(build, word_pieces, tmp_path):
    build("bare bert").save_pretrained(tmp_path)
    word_pieces.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["architectures"] = ["BertForSequenceClassification"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        gb.errors.ModelError, match="lacks 2 weights of BertForSequenceClassification, among them classifier"
    ):
        gb.load(tmp_path)


def test_smallworld_not_installed(monkeypatch):
    monkeypatch.setattr("glassbox.models.find_spec", lambda name: None)
    with pytest.raises(gb.errors.ModelError, match="not installed: run `make study`"):
        gb.load("smallworld")


def state(model):
    """All that a method could change on a model."""
    return {
        name: (
            part.training,
            [id(hook) for hook in part._forward_hooks.values()],
            [id(hook) for hook in part._forward_pre_hooks.values()],
            [id(hook) for hook in part._backward_hooks.values()],
            {key: id(value) for key, value in vars(part).items() if key != "training"},
            {key: (value.requires_grad, value.grad, value._version) for key, value in part.named_parameters()},
        )
        for name, part in model.named_modules()
    }


def explain(model, method, **options):
    return gb.explain(model, None, IDS, method=method, **options)


@pytest.mark.parametrize("method", gb.METHODS)
@pytest.mark.parametrize("name", ["gpt2", "llama", "bert"])
def test_no_trace(build, name, method):
    model = build(name)
    model.train()
    first = next(iter(model.children()))
    first.eval()  # a mixture of modes has to come back too
    next(model.parameters()).requires_grad_(False)
    calls = []
    handle = first.register_forward_hook(lambda *_: calls.append("own hook"))
    before, config = state(model), model.config.to_dict()
    explain(model, method)
    assert calls == ["own hook"]
    assert state(model) == before
    assert model.config.to_dict() == config
    assert model.config._attn_implementation == "eager"
    handle.remove()
    assert not first._forward_hooks


@pytest.mark.parametrize("method", gb.METHODS)
def test_no_trace_after_an_exception(build, method):
    model = build("gpt2").train()

    def interrupt(*_):
        raise KeyboardInterrupt

    handle = model.transformer.h[1].register_forward_hook(interrupt)
    before = state(model)
    with pytest.raises(KeyboardInterrupt):
        explain(model, method)
    assert state(model) == before
    handle.remove()
    explain(model, method)


def test_no_trace_of_a_refusal(build):
    model = build("gpt2", "sdpa").train()
    before = state(model)
    with pytest.raises(gb.errors.ModelError):
        explain(model, "rollout")
    assert state(model) == before


def test_dropout_is_off_while_explaining(build):
    model = build("gpt2")
    calm = explain(model, "rollout").scores
    assert torch.equal(explain(model.train(), "rollout").scores, calm)


def test_hooks_of_transformers_that_were_there_stay(build):
    model = build("gpt2")
    model(IDS, output_attentions=True)
    before = state(model)
    with undisturbed(model):
        model(IDS, output_attentions=True)
    assert state(model) == before
    assert len(model(IDS, output_attentions=True).attentions) == 3


def test_threads_on_one_model(build):
    model = build("gpt2").train()
    alone = explain(model, "rollout").scores
    results = []
    threads = [threading.Thread(target=lambda: results.append(explain(model, "rollout").scores)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert all(torch.equal(result, alone) for result in results)
    assert model.training
