"""A test that takes `chapter` runs for each chapter that there is."""

import pytest
import torch
from tests.chapters import COURSE, SOURCES
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from classroom.source import load


def pytest_collection_modifyitems():
    """Without this, a course whose sources were not found would pass every test."""
    if not SOURCES:
        pytest.exit(f"no chapter's source was found in {COURSE / 'solutions'}", returncode=1)


@pytest.fixture(scope="session", params=SOURCES, ids=lambda path: path.stem)
def chapter(request):
    return load(request.param)


@pytest.fixture(scope="session")
def other_models(tmp_path_factory) -> dict[str, str]:
    """A GPT-2 and a Llama with random weights, each in a folder with a tokenizer that knows nothing of the small world.

    Words are several tokens to it. Llama's puts a start token in front of each text, as the real one does; GPT-2's
    puts nothing there.
    """
    sizes = dict(vocab_size=400, bos_token_id=0, eos_token_id=0)
    kinds = {
        "gpt2": (GPT2LMHeadModel, GPT2Config(**sizes, n_embd=32, n_layer=3, n_head=4, n_positions=1024)),
        "llama": (
            LlamaForCausalLM,
            LlamaConfig(
                **sizes, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
                num_key_value_heads=2, tie_word_embeddings=False,
            ),
        ),
    }  # fmt: skip
    folders = {}
    for name, (kind, config) in kinds.items():
        folders[name] = str(tmp_path_factory.mktemp(name))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            kind(config).save_pretrained(folders[name])
        _foreign_tokenizer(starts=name == "llama").save_pretrained(folders[name])
    return folders


def _foreign_tokenizer(starts: bool) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(["the cat sat on the mat because the other cat had gone away"] * 3, trainer)
    if starts:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="<s>")
