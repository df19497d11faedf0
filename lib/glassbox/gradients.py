"""Gradient methods: how would the prediction change if a token's embedding moved a little?

The explained scalar f is a smooth function of the input embeddings x_i, one vector for each token i, so it has a
gradient there, a vector of the same width. The methods differ in how they make one number of it:

    gradient            s_i = ‖∂f/∂x_i‖                   how sensitive f is to token i; never negative
    gradient × input    s_i = Σ_d x_id · ∂f/∂x_id         how much f would change if token i grew by its own embedding
    SmoothGrad          s_i = ‖mean_k ∂f/∂x_i (x + noise_k)‖   the gradient of the neighbourhood instead of the point

Simonyan et al. 2014, "Deep Inside Convolutional Networks", section 3 (gradient); Denil et al. 2014, "Extraction of
Salient Sentences from Labelled Documents" (gradient × input); Smilkov et al. 2017, "SmoothGrad", section 3.

What they can't tell you: what the word contributed. A gradient looks at an infinitely small step from the text, and f
is far from a straight line: where it has saturated, as a probability near one has, a decisive word gets nothing. No
word lies a small step away either. Gradient × input is exact for a linear model only, and it depends on where the
embeddings' zero happens to be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import torch

from glassbox.attribution import Attribution
from glassbox.errors import InputError
from glassbox.methods import method
from glassbox.question import Question
from glassbox.trace import undisturbed

if TYPE_CHECKING:
    from transformers.modeling_outputs import ModelOutput

Scalar = Callable[[torch.Tensor], torch.Tensor]  # f: embeddings of texts (batch, seq, width) -> (batch,)
Item = TypeVar("Item")


def gradient(f: Scalar, x: torch.Tensor) -> torch.Tensor:
    """How does f change when each entry of x moves a little? ∂f/∂x for each text of a batch.

    f: from (batch, seq, width) to (batch,), each text for itself. x and the result: (batch, seq, width).
    Raises InputError if f does not depend on x through operations of torch.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        return slope(f(x), x)


def smooth_gradient(
    f: Scalar, x: torch.Tensor, spread: float, samples: int = 25, seed: int = 0, batch_size: int = 16
) -> torch.Tensor:
    """What is the gradient of f on average around x, rather than at it?

    x and the result: (seq, width); spread: the noise's standard deviation. Errors: as for `gradient`.
    """
    # Drawn on the CPU in single precision, so that each device and each precision sees the same noise.
    generator = torch.Generator().manual_seed(seed)
    noises = (torch.randn(x.shape, generator=generator, dtype=torch.float32) for _ in range(samples))
    noisy = (x + spread * noise.to(x) for noise in noises)
    return sum(gradient(f, torch.stack(texts)).sum(0) for texts in batches(noisy, batch_size)) / samples


@method("gradient")
def explain_by_gradient(question: Question) -> Attribution:
    """How sensitive is the prediction to each token? The Euclidean norm of the gradient, never negative."""
    _, gradients, output = at_the_text(question)
    return question.answer("gradient", gradients.norm(dim=-1), output)


@method("gradient_x_input")
def explain_by_gradient_x_input(question: Question) -> Attribution:
    """How would the prediction change, by its slope at the text, if each token's embedding grew by itself?"""
    x, gradients, output = at_the_text(question)
    return question.answer("gradient_x_input", (x * gradients).sum(dim=-1), output)


@method("smooth_grad")
def explain_by_smooth_grad(
    question: Question, *, noise: float = 0.15, samples: int = 25, seed: int = 0, batch_size: int | None = None
) -> Attribution:
    """How sensitive is the prediction to each token, on average over small changes of all embeddings?

    noise:       the noise's standard deviation, in standard deviations of the vocabulary's embeddings. The paper takes
                 10 to 20 % of an image's range, from darkest to brightest; embeddings have outliers instead of a range.
    samples:     how many noisy copies of the text the gradient is averaged over.
    batch_size:  how many texts the model sees at a time; by default as many as make `TOKENS_AT_A_TIME`.

    Raises InputError for options out of range. `details["spread"]` is the noise in the embeddings' own units.
    """
    checked_count("samples", samples)
    if not 0 <= noise < float("inf"):
        raise InputError(f"noise is {noise}; allowed: 0 or more, in standard deviations of the embeddings")
    with undisturbed(question.model):
        asked, x, output = settled_at_the_text(question)
        variance = vocabulary_mean(question, torch.square) - vocabulary_mean(question).square()  # (width,)
        spread = noise * float(variance.mean().clamp(min=0).sqrt())
        f, size = value_of(asked), texts_at_a_time(asked, output, batch_size)
        gradients = smooth_gradient(f, x, spread, samples, seed, size)  # (seq, width)
    return question.answer("smooth_grad", gradients.norm(dim=-1), output, spread=spread)


def at_the_text(question: Question) -> tuple[torch.Tensor, torch.Tensor, ModelOutput]:
    """The text's embeddings and the gradient there, both (seq, width), and the model's output, in a single run."""
    with undisturbed(question.model), torch.enable_grad():
        x = embeddings_of(question).requires_grad_()  # (1, seq, width)
        output = question.run(inputs_embeds=x)
        gradients = slope(question.settled(output).values(output), x)
    return x[0].detach(), gradients[0], output


def settled_at_the_text(question: Question) -> tuple[Question, torch.Tensor, ModelOutput]:
    """The question with its target as a number, the text's embeddings (seq, width), and the model's output."""
    with torch.no_grad():
        output = question.run()
        return question.settled(output), embeddings_of(question)[0], output


def embeddings_of(question: Question) -> torch.Tensor:
    """What the model's embedding layer makes of the text, its scaling included; (1, seq, width), at least float32."""
    return _single_or_double(question.model.get_input_embeddings()(question.ids).detach())


def vocabulary_mean(question: Question, of: Callable[[torch.Tensor], torch.Tensor] = torch.positive) -> torch.Tensor:
    """The mean of all embeddings that the model has, or of a function of them; (width,), float64."""
    layer, total = question.model.get_input_embeddings(), 0
    with torch.no_grad():
        for ids in torch.arange(layer.num_embeddings, device=question.ids.device).split(8192):
            part = of(_single_or_double(layer(ids)))  # (token, width), so that no copy of the whole is made
            total = total + part.sum(dim=0, dtype=torch.float64)
    return total / layer.num_embeddings


def _single_or_double(embeddings: torch.Tensor) -> torch.Tensor:
    return embeddings if embeddings.dtype == torch.float64 else embeddings.float()


def value_of(question: Question) -> Scalar:
    """f as a function of the embeddings (batch, seq, width) of texts as long as this one; the question is settled."""
    return lambda x: question.values(question.run(inputs_embeds=x))


def slope(values: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """∂values/∂x: texts of a batch do not meet, so the sum's gradient holds each text's own. Parameters get none."""
    [gradients] = torch.autograd.grad(values.sum(), x, allow_unused=True) if values.requires_grad else [None]
    if gradients is None:
        raise InputError(
            "what is explained does not depend on the text through operations of torch, so it has no gradient; "
            "allowed: a target function that makes its scalar of the model's output without item(), numpy or detach()"
        )
    return gradients


# On two cores, more tokens at a time are no faster, and GPT-2 small keeps about 2 MB of activations for each.
TOKENS_AT_A_TIME = 512


def texts_at_a_time(question: Question, output: ModelOutput, batch_size: int | None) -> int:
    """How many texts like this one the model may see at once, if gradients are to fit in about a gigabyte."""
    if batch_size is not None:
        checked_count("batch_size", batch_size)
    if question.about_classes(output) and question.model.config.pad_token_id is None:
        return 1  # without a padding token, transformers' classifiers refuse more
    return batch_size or max(1, TOKENS_AT_A_TIME // question.ids.shape[1])


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of `size`, the last one perhaps shorter; none is made before its turn."""
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch


def checked_count(what: str, number: int) -> None:
    """Raise InputError unless `number` is a whole number, 1 or more."""
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise InputError(f"{what} is {number!r}; allowed: a whole number, 1 or more")
