"""Loading and its errors, and the anatomy: each part is looked at while the model runs."""

import json

import pytest
import torch
import transformers as hf
from tests.glassbox.architectures import ARCHITECTURES, DECODERS

import glassbox as gb
from glassbox.models import ROWS

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
    hf.T5Config(architectures=["T5ForConditionalGeneration"]).save_pretrained(tmp_path)
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


def run_and_look(model, parts, ids=IDS):
    """Each part's first input and first output in one run, and what the model gave."""
    seen = {}

    def keep(module, inputs, output):
        seen[module] = inputs[0] if inputs else None, output[0] if isinstance(output, tuple) else output

    handles = [part.register_forward_hook(keep) for part in parts]
    with torch.no_grad():
        output = model(ids, attention_mask=torch.ones_like(ids))
    for handle in handles:
        handle.remove()
    return seen, output


def test_every_architecture_has_its_row_and_its_model(build):
    assert {build(name).config.model_type for name in ARCHITECTURES} == set(ROWS)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", [*ARCHITECTURES, "opt-350m"])
def test_the_head_makes_the_models_own_logits(build, name, dtype):
    model = build(name, dtype=dtype)
    parts = gb.anatomy(model)
    seen, output = run_and_look(model, parts.blocks)
    with torch.no_grad():
        logits = parts.head(seen[parts.blocks[-1]][1])
    assert torch.equal(logits[:, -1] if name == "gpt2-classifier" else logits, output.logits)


def writes(model):
    """For each layer what its block was given, what attention and MLP wrote, and what the block gave; (seq, width)."""
    parts = gb.anatomy(model)
    seen, _ = run_and_look(model, [*parts.blocks, *parts.attention_writes, *parts.mlp_writes])
    for block, attention, mlp in zip(parts.blocks, parts.attention_writes, parts.mlp_writes, strict=True):
        given, gave = seen[block]
        yield block, *(each.reshape(-1, 32) for each in (given, seen[attention][1], seen[mlp][1], gave))


@pytest.mark.parametrize("name", [*ARCHITECTURES, "opt-350m", "bare bert"])
def test_what_is_written_adds_up(build, name):
    model = build(name, dtype=torch.float64)
    norm_first = gb.anatomy(model).norm_first
    assert norm_first == (name.removesuffix("-classifier") in DECODERS)
    for block, given, attention, mlp, gave in writes(model):
        assert min(float(each.std()) for each in (given, attention, mlp)) > 0.05
        if norm_first:
            expected = given + attention + mlp
        else:
            after_attention, after_mlp = [part for part in block.modules() if isinstance(part, torch.nn.LayerNorm)]
            expected = after_mlp(after_attention(given + attention) + mlp)
        assert torch.allclose(expected, gave, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_attention_and_its_output_projection(build, name):
    model = build(name, dtype=torch.float64)
    parts, weights = gb.anatomy(model), []
    handles = [
        part.register_forward_hook(lambda module, inputs, output: weights.append(output[1]))
        for part in parts.attentions
    ]
    seen, _ = run_and_look(model, [*parts.output_projections, *parts.attention_writes])
    for handle in handles:
        handle.remove()
    assert len(weights) == len(parts.output_projections) == 3
    for layer, projection, writer in zip(weights, parts.output_projections, parts.attention_writes, strict=True):
        assert layer.shape == (1, parts.heads, 4, 4)
        assert torch.allclose(layer.sum(-1), torch.ones(1, parts.heads, 4, dtype=torch.float64))
        mixed, written = seen[projection]
        width = 16 if name == "qwen3" else 8
        assert mixed.shape == (1, 4, parts.heads * width) and written.shape == (1, 4, 32)
        assert torch.equal(written, seen[writer][1]) == (not name.startswith("gemma"))


@pytest.mark.parametrize("name", [*ARCHITECTURES, "opt-350m"])
def test_the_mlp_feeds_what_it_writes(build, name):
    model = build(name)
    parts = gb.anatomy(model)
    seen, _ = run_and_look(model, [*parts.mlps, *parts.mlp_writes])
    for mlp, writer in zip(parts.mlps, parts.mlp_writes, strict=True):
        assert torch.equal(seen[mlp][1], seen[writer][0] if name.startswith("gemma") else seen[writer][1])


@pytest.mark.parametrize("name", [*ARCHITECTURES, "opt-350m"])
def test_the_embeddings(build, name):
    model = build(name, dtype=torch.float64)
    parts = gb.anatomy(model)
    seen, _ = run_and_look(model, [parts.embedding, parts.blocks[0], *filter(None, [parts.position_embedding])])
    kinds = [each for each in model.modules() if isinstance(each, torch.nn.Embedding)]
    others = [each for each in kinds if each is not parts.embedding and each.num_embeddings > 2]  # not token types
    assert others == ([] if parts.position_embedding is None else [parts.position_embedding])
    tokens = seen[parts.embedding][1]
    if name.startswith("gemma"):  # its scale is in it
        assert torch.allclose(tokens, parts.embedding.weight[IDS] * 32**0.5, rtol=1e-6)
    if parts.norm_first:  # what enters the first block is their sum, and no norm comes before
        positions = 0 if parts.position_embedding is None else seen[parts.position_embedding][1]
        assert torch.equal(seen[parts.blocks[0]][0], tokens + positions)


def test_the_head_of_a_decoder_without_its_norm(build):
    model = build("gpt2")
    hidden = torch.randn(1, 4, 32)
    assert torch.equal(gb.anatomy(model).head(hidden, norm=False), model.lm_head(hidden))


@pytest.mark.parametrize("kind", [hf.LlamaForSequenceClassification, hf.Gemma2ForSequenceClassification])
def test_other_decoders_that_classify(build, kind):
    config = build("llama" if kind is hf.LlamaForSequenceClassification else "gemma2").config
    model = kind(config).eval()
    parts = gb.anatomy(model)
    seen, output = run_and_look(model, parts.blocks)
    assert parts.unembedding is model.score
    with torch.no_grad():
        assert torch.equal(parts.head(seen[parts.blocks[-1]][1])[:, -1], output.logits)


def test_neox_that_is_not_parallel(build):
    config = build("gpt_neox").config
    assert config.use_parallel_residual
    config.use_parallel_residual = False
    model = hf.GPTNeoXForCausalLM(config).double().eval()
    for _, given, attention, mlp, gave in writes(model):
        assert torch.allclose(given + attention + mlp, gave, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["bare bert", "gpt2"])
def test_a_model_without_a_head(build, name):
    model = build(name).base_model
    parts = gb.anatomy(model)
    assert parts.unembedding is None and len(parts.blocks) == 3
    with pytest.raises(gb.errors.ModelError, match=f"{type(model).__name__} predicts nothing: load the model with a"):
        parts.head(torch.zeros(1, 4, 32))


def test_an_unknown_architecture():
    config = hf.BloomConfig(vocab_size=300, hidden_size=32, n_layer=2, n_head=4)
    model = hf.BloomForCausalLM._from_config(config, attn_implementation="eager")
    message = (
        "the anatomy of BloomForCausalLM is not known.*known: gpt2, .* roberta. To add 'bloom', write its row in ROWS"
    )
    with pytest.raises(gb.errors.ModelError, match=message):
        gb.anatomy(model)
    # What needs no anatomy works all the same.
    for method in ("rollout", "gradient_x_input", "leave_one_out"):
        assert gb.explain(model, None, IDS, method=method).scores.abs().sum() > 0
