"""Checks of chapter 07: the lens, ranks, divergence, translators, shares of a logit, and states put into other prompts.

Tensors are small and drawn from the seed; models are random GPT-2s and Llamas whose norms do something.
"""

import contextlib
from collections.abc import Callable

import torch
from torch import nn

from classroom.checks import Mistake, call, choice, judge, judge_all, passed, quiet
from classroom.checks.start_here import generator, small_gpt2


def small_llama(seed: int):
    """A random Llama in float64 whose norms do something."""
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=29,
            max_position_embeddings=13,
            hidden_size=6,
            intermediate_size=9,
            num_hidden_layers=3,
            num_attention_heads=1,
            initializer_range=0.4,
        )
        model = LlamaForCausalLM(config).double().eval()
        with torch.no_grad():
            model.model.norm.weight.normal_(1, 0.5)
        return model


def normed(
    hidden: torch.Tensor, centre: bool = True, less: int = 0, axes: tuple[int, ...] | int = -1, scale: bool = True
) -> torch.Tensor:
    centred = hidden - hidden.mean(axes, keepdim=True) if centre else hidden
    count = centred.numel() if isinstance(axes, tuple) else centred.shape[axes]
    mean_square = centred.square().sum(axes, keepdim=True) / (count - less)
    return centred / (mean_square + 1e-5).sqrt() if scale else centred


HAND = (
    torch.tensor([4.0, 1, 1]),
    torch.ones(3),
    torch.zeros(3),
    torch.tensor([[1.0, 0, 0], [0, 2, 0], [0, 1, 1]]),
)


def head_weights(seed: int, width: int, vocabulary: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A gain (width,), a bias (width,) and an unembedding (vocabulary, width)."""
    draw = generator(seed)
    gain, bias = torch.rand(width, generator=draw) + 0.5, torch.randn(width, generator=draw)
    return gain, bias, torch.randn(vocabulary, width, generator=draw)


@quiet()
def lens(student: Callable, seed: int = 0) -> None:
    draw = generator(seed)
    one = torch.randn(2, 4, 5, generator=draw) * 3 + 1
    cases = [(*state, norm) for norm in (True, False) for state in (HAND, (one, *head_weights(seed, 5, 7)))]
    names = [f"the logits of {what} with norm={norm}" for norm in (True, False) for what in ("(4, 1, 1)", "a batch")]

    def each(read: Callable) -> list[torch.Tensor]:
        return [read(*case) for case in cases]

    def by(inner: Callable) -> list[torch.Tensor]:
        """The lens with another norm, where the norm is asked for."""
        return each(lambda h, g, b, U, norm: (inner(h) * g + b if norm else h) @ U.T)

    right = by(lambda h: nn.functional.layer_norm(h, h.shape[-1:], eps=1e-5))
    judge_all(
        [call(student, *case) for case in cases],
        right,
        {
            "norm=False was ignored: without the norm, the hidden state goes straight to the unembedding.": each(
                lambda h, g, b, U, norm: (normed(h) * g + b) @ U.T
            ),
            "The norm is missing.": each(lambda h, g, b, U, norm: h @ U.T),
            "norm=True and norm=False are swapped.": each(
                lambda h, g, b, U, norm: (h if norm else normed(h) * g + b) @ U.T
            ),
            "The mean was not taken off first. (A Llama's norm leaves it in; GPT-2's does not.)": by(
                lambda h: normed(h, centre=False)
            ),
            "The mean was taken off, but nothing was divided.": by(lambda h: normed(h, scale=False)),
            "It was divided by the length. Divide by the root of the mean square.": by(
                lambda h: normed(h) / h.shape[-1] ** 0.5
            ),
            "The mean square is that of the state. Take that of what is left when the mean is off.": by(
                lambda h: normed(h, scale=False) / (h.square().mean(-1, keepdim=True) + 1e-5).sqrt()
            ),
            "The mean square was divided by width - 1. The norm divides by the width (`unbiased=False`).": by(
                lambda h: normed(h, less=1)
            ),
            "Mean and scale were taken over the whole tensor. Each vector has its own: axis -1, with keepdim.": by(
                lambda h: normed(h, axes=tuple(range(h.ndim)))
            ),
            "Gain and bias of the norm are missing.": each(lambda h, g, b, U, norm: (normed(h) if norm else h) @ U.T),
            "The norm's bias is missing.": each(lambda h, g, b, U, norm: (normed(h) * g if norm else h) @ U.T),
            "The bias was added before the gain. First multiply by the gain.": each(
                lambda h, g, b, U, norm: ((normed(h) + b) * g if norm else h) @ U.T
            ),
            "Without the norm, its gain and bias were still applied.": each(
                lambda h, g, b, U, norm: ((normed(h) if norm else h) * g + b) @ U.T
            ),
            "These are probabilities. Return the logits.": [logits.softmax(-1) for logits in right],
        },
        tolerance=1e-4,
        names=names,
    )
    for hidden, *head, norm in cases:
        shifted = call(student, 2 * hidden + 5, *head, norm)
        if norm:
            name = "the logits of a state twice as long, and shifted"
            judge(shifted, call(student, hidden, *head, norm), tolerance=1e-3, name=name)
    passed("with the norm the length of a state plays no part, without it it does")


@quiet()
def readings(student: Callable, seed: int = 0) -> None:
    for kind, model in (("GPT-2", small_gpt2(seed)), ("Llama", small_llama(seed))):
        body = model.transformer if kind == "GPT-2" else model.model
        norm = body.ln_f if kind == "GPT-2" else body.norm
        ids = torch.randint(1, 29, (5,), generator=generator(seed))
        with torch.no_grad():
            output = model(ids[None], output_hidden_states=True)
            below, last = torch.cat(output.hidden_states[:-1]), output.hidden_states[-1]
            lower, final = model.lm_head(norm(below)), output.logits
            right = torch.cat([lower, final])
            twice = torch.cat([lower, model.lm_head(norm(last))])
            raw = torch.cat([model.lm_head(below), final])
            all_twice = torch.cat([model.lm_head(norm(norm(below))), final])
        value = call(student, model, ids)
        if isinstance(value, torch.Tensor) and value.requires_grad:
            raise Mistake("The readings carry gradients with them: work under `torch.no_grad()`.")
        judge(
            value,
            right,
            {
                "The bug is still there: the last hidden state went through the final norm a second time.": twice,
                "Now no layer has the norm. Only the last of the hidden states had passed it already.": raw,
                "The lower layers were normed twice. Each is normed once.": all_twice,
                "The last layer is missing: its reading is the model's own answer.": lower,
                "The embedding is missing: it is the first row.": right[1:],
                "The last row repeats the layer below: it is not the model's answer.": torch.cat([lower, lower[-1:]]),
                "These are the readings at the last position. Return those at all positions.": right[:, -1],
                "The batch's axis is still there: return (layers + 1, seq, vocabulary).": right[:, None],
                "These are probabilities. Return the logits.": right.softmax(-1),
            },
            name=f"the readings of a {kind}",
        )
    passed("the last layer's reading is the model's own answer, in a GPT-2 and in a Llama")


@quiet()
def ranks(student: Callable, seed: int = 0) -> None:
    draw = generator(seed)
    cases = [
        (torch.tensor([2.0, 5, 1, 3]), 3),
        (torch.randn(6, 11, generator=draw), 4),
        (torch.randn(3, 2, 9, generator=draw), 0),
        (torch.tensor([[1.0, 1, 1, 1], [0, 2, 2, 1]]), 2),
    ]

    def above(logits, word, least=False):
        own = logits[..., word, None]
        return ((logits >= own) if least else (logits > own)).sum(-1)

    judge_all(
        [call(student, *case) for case in cases],
        [above(*case) + 1 for case in cases],
        {
            "The ranks begin with 0. The word on top has rank 1.": [above(*case) for case in cases],
            "Words with the same logit push the word down. Count only those that are larger.": [
                above(*case, least=True) for case in cases
            ],
            "The word itself was counted with those above it: its own logit is not larger.": [
                above(*case, least=True) + 1 for case in cases
            ],
            "The ranks count from the bottom: count the words with a larger logit, not with a smaller one.": [
                above(-logits, word) + 1 for logits, word in cases
            ],
            "That is the word which stands at the place `word` in the order. The place of the word is asked for.": [
                logits.argsort(dim=-1, descending=True, stable=True)[..., word] for logits, word in cases
            ],
            "That is the word which stands at the place `word` in the order, plus one. The place of the word is asked "
            "for.": [logits.argsort(dim=-1, descending=True, stable=True)[..., word] + 1 for logits, word in cases],
            "These are the word's logits. Count the words above it.": [logits[..., word] for logits, word in cases],
            "That says whether the word is on top. Return its rank.": [above(*case) == 0 for case in cases],
        },
        names=[
            "the rank in the chapter's example",
            "the ranks in six rows",
            "the ranks with two axes in front",
            "the ranks among words with equal logits",
        ],
    )
    passed("1 on top, as many as there are words at the bottom, and equals share the best place")


@quiet()
def settled(student: Callable, seed: int = 0) -> None:
    draw = generator(seed)
    given = [[7, 1, 2, 1, 1], [1, 1, 1], [5, 3, 2], [4, 1, 1, 2], [9, 8, 1], [1, 2, 1, 3, 1, 1], [1, 4, 4, 4, 2]]
    given += [torch.randint(1, 3, (6,), generator=draw).tolist() for _ in range(6)]
    cases = [torch.tensor(row) for row in given]

    def first_top(row):
        return row.index(1) if 1 in row else len(row)

    def until(row):
        layer = len(row)
        while layer and row[layer - 1] == 1:
            layer -= 1
        return layer

    never = [row[-1] != 1 for row in given]
    example = call(student, cases[0])
    try:
        values = [call(student, case) for case in cases]
    except Mistake as stopped:
        if example == 1:
            message = "For 7, 1, 2, 1, 1 that is the first time on top. At layer 2 it was lost again: it has to stay."
            raise Mistake(message) from stopped
        raise
    judge_all(
        values,
        [until(row) for row in given],
        {
            "That is the first layer at which the word is on top. It may be lost again: it has to stay.": [
                first_top(row) for row in given
            ],
            "That is one layer too early: the last one at which the word is not on top.": [
                until(row) - 1 for row in given
            ],
            "That is how many layers have the word on top, wherever they are.": [row.count(1) for row in given],
            "That is how many layers at the end have the word on top. Return the first of them.": [
                len(row) - until(row) for row in given
            ],
            "If the word is not on top at the end, return the number of layers, not -1.": [
                -1 if lost else until(row) for row, lost in zip(given, never, strict=True)
            ],
            "If the word is not on top at the end, return the number of layers, not the last layer.": [
                len(row) - 1 if lost else until(row) for row, lost in zip(given, never, strict=True)
            ],
            "That is the layer with the smallest rank. Look for where the word stays on top.": [
                row.index(min(row)) for row in given
            ],
            "Layers are counted from 0.": [until(row) + 1 for row in given],
            "Layers are counted from 0, the lowest is layer 0.": [
                until(row) + (not lost) for row, lost in zip(given, never, strict=True)
            ],
        },
        names=[f"the layer for the ranks {', '.join(map(str, row))}" for row in given],
    )
    passed("on top and never lost again: layer 3 for 7, 1, 2, 1, 1")


@quiet()
def divergence(student: Callable, seed: int = 0) -> None:
    draw = generator(seed)
    cases = [
        (torch.tensor([0.5, 0.5]).log(), torch.tensor([0.75, 0.25]).log()),
        (torch.randn(4, 6, generator=draw) * 2 + 3, torch.randn(4, 6, generator=draw)),
        (torch.randn(7, generator=draw), torch.randn(2, 3, 7, generator=draw) * 3),
    ]

    def each(formula: Callable) -> list[torch.Tensor]:
        """The formula with the logarithms of the final distribution and of the layer's."""
        return [formula(final.log_softmax(-1), here.log_softmax(-1)) for final, here in cases]

    right = each(lambda p, q: (p.exp() * (p - q)).sum(-1))
    judge_all(
        [call(student, *case) for case in cases],
        right,
        {
            "That is KL(layer ‖ final), the wrong way round: the final distribution weighs the sum.": each(
                lambda p, q: (q.exp() * (q - p)).sum(-1)
            ),
            "The sign is turned: log p of the end less log q of the layer.": [-value for value in right],
            "These are bits: the logarithm is the natural one.": [value / 0.6931471805599453 for value in right],
            "That is the mean over the vocabulary. KL is the sum.": each(lambda p, q: (p.exp() * (p - q)).mean(-1)),
            "That is one number for all rows. Each has its own.": [value.mean() for value in right],
            "That is the cross-entropy. Take off the entropy of the final distribution: log p - log q, not "
            "-log q.": each(lambda p, q: -(p.exp() * q).sum(-1)),
            "The differences of the logits were used. Logits become logarithms of probabilities by log_softmax.": [
                (final.softmax(-1) * (final - here)).sum(-1) for final, here in cases
            ],
            "The differences of the logarithms were not weighed by p.": each(lambda p, q: (p - q).sum(-1)),
            "That is what each word adds. Sum over the vocabulary.": each(lambda p, q: p.exp() * (p - q)),
        },
        names=["the divergence in the chapter's example", "the divergences of four rows", "the divergences of 2 x 3"],
    )
    passed("zero for the distribution itself, and 0.144 in the example")


def low_rank(answer, seed: int = 0) -> None:
    choice(
        answer,
        "b",
        {
            "a": "the lens sees only what lies in the unembedding's directions. Not seen is not the same as not there.",
            "b": "the lens reads every layer as if it were the last, and a layer in the middle was never trained to be "
            "read that way.",
            "c": "perhaps. But a later block may as well only turn what is there into the unembedding's directions.",
            "d": "a low rank needs no enemy: it is enough that nothing points that way yet.",
        },
    )


def descent(
    hidden, final, gain, bias, unembedding, steps, rate, *, reverse=False, total=False, skip=True, turned=False,
    heap=False, moves=(True, True), up=False,
):  # fmt: skip
    """Gradient descent on a translator, right or with some of the usual mistakes: A and b in one row."""
    width = hidden.shape[-1]
    A, b = torch.zeros(width, width), torch.zeros(width)
    piled = [torch.zeros_like(A), torch.zeros_like(b)]
    for _ in range(max(steps, 0)):
        A, b = A.detach().requires_grad_(), b.detach().requires_grad_()
        moved = hidden * skip + hidden @ (A if turned else A.T) + b
        p, q = final.log_softmax(-1), ((normed(moved) * gain + bias) @ unembedding.T).log_softmax(-1)
        p, q = (q, p) if reverse else (p, q)
        loss = (p.exp() * (p - q)).sum(-1)
        slopes = torch.autograd.grad(loss.sum() if total else loss.mean(), (A, b))
        piled = [old * heap + new for old, new in zip(piled, slopes, strict=True)]
        A, b = (x + (rate if up else -rate) * s * m for x, s, m in zip((A, b), piled, moves, strict=True))
    return torch.cat([A.detach().flatten(), b.detach()])


@quiet()
def fit(student: Callable, seed: int = 0) -> None:
    draw = generator(seed)
    cases = []
    for steps, rate, width in ((0, 0.1, 3), (1, 0.1, 3), (4, 0.05, 4)):
        hidden, final = torch.randn(5, width, generator=draw) * 2, torch.randn(5, 6, generator=draw) * 2
        cases.append((hidden, final, *head_weights(seed + steps, width, 6), steps, rate))
    values = []
    for case in cases:
        value = call(student, *case)
        width = case[0].shape[1]
        if not isinstance(value, tuple | list) or len(value) != 2:
            raise Mistake("Return two tensors: A (width, width) and b (width,).")
        shapes = [tuple(item.shape) if isinstance(item, torch.Tensor) else None for item in value]
        if shapes == [(width,), (width, width)]:
            raise Mistake("A and b are swapped: return A first.")
        if shapes != [(width, width), (width,)]:
            raise Mistake(
                f"A should have the shape {(width, width)} and b {(width,)}; found {shapes[0]} and {shapes[1]}."
            )
        if value[0].requires_grad or value[1].requires_grad:
            raise Mistake("A and b still ask for gradients: return them detached.")
        values.append(torch.cat([value[0].flatten(), value[1]]))

    def each(**mistake) -> list[torch.Tensor]:
        return [descent(*case, **mistake) for case in cases]

    def eye(case, row):
        """A row in which A holds the identity too."""
        width = case[0].shape[1]
        return row + torch.cat([torch.eye(width).flatten(), torch.zeros(width)])

    judge_all(
        values,
        each(),
        {
            "The steps go uphill: move against the gradient.": each(up=True),
            "The divergence is the wrong way round: KL(final ‖ layer).": each(reverse=True),
            "The divergences of the texts were summed. Take their mean, so that the rate suits any number of "
            "texts.": each(total=True),
            "The state itself is missing: translated is h + A h + b, not A h + b.": each(skip=False),
            "A is transposed: A h for rows is hidden @ A.T.": each(turned=True),
            "Gradients of earlier steps were added up: take them anew, or set them to zero after each step.": each(
                heap=True
            ),
            "A never moves.": each(moves=(False, True)),
            "b never moves.": each(moves=(True, False)),
            "A has the identity in it. Start with zeros: the state itself is added already.": [
                eye(case, row) for case, row in zip(cases, each(), strict=True)
            ],
            "That is one step too many.": [descent(*case[:5], case[5] + 1, case[6]) for case in cases],
            "That is one step too few.": [descent(*case[:5], case[5] - 1, case[6]) for case in cases],
        },
        tolerance=1e-4,
        names=["A and b after no step", "A and b after one step", "A and b after four steps"],
    )
    passed("from zeros downhill: each step has the one result that it can have")


def translator(answer, seed: int = 0) -> None:
    choice(
        answer,
        "b",
        {
            "a": "the embedding of a word is the same in all texts. It can't know this one's verdict.",
            "b": "it answers with what is frequent, and half of the verdicts are positive. A counterfactual would "
            "show it.",
            "c": "the norm changes length and mean; it reads no other word.",
            "d": "nothing of the sentence has come in at layer 0, so there is nothing to decide on.",
        },
    )


@quiet()
def shares(student: Callable, seed: int = 0) -> None:
    draw = generator(seed)
    cases = [(torch.tensor([[3.0, 0, 0], [1, 1, 1]]), torch.ones(3), torch.tensor([1.0, 0, 0]))]
    for count, width in ((5, 4), (3, 6)):
        gain, bias, unembedding = head_weights(seed + count, width, 2)
        cases.append((torch.randn(count, width, generator=draw) * 2 + 0.5, gain, unembedding[0]))

    def each(scale_of: Callable, centre: Callable | None = None, use_gain: bool = True) -> list[torch.Tensor]:
        found = []
        for parts, gain, direction in cases:
            centred = parts - parts.mean(-1, keepdim=True) if centre is None else centre(parts)
            scale = scale_of(parts)
            found.append(centred / scale * (gain if use_gain else 1.0) @ direction)
        return found

    def frozen(parts):
        return (parts.sum(0).var(unbiased=False) + 1e-5).sqrt()

    right = each(frozen)
    judge_all(
        [call(student, *case) for case in cases],
        right,
        {
            "Each part was divided by a scale of its own. Then the shares don't add up: one scale, that of the sum, "
            "is for all.": each(lambda parts: (parts.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()),
            "The parts' means were not taken off. The norm takes off the mean of the sum, which is the sum of their "
            "means.": each(frozen, centre=lambda parts: parts),
            "The mean was taken over the parts. It is taken over the width, axis -1.": each(
                frozen, centre=lambda parts: parts - parts.mean(0)
            ),
            "The mean of the whole stream was taken off each part. Each loses its own.": each(
                frozen, centre=lambda parts: parts - parts.sum(0).mean()
            ),
            "The gain is missing.": each(frozen, use_gain=False),
            "The division by the scale is missing.": each(lambda parts: 1.0),
            "The scale was divided by width - 1. The norm divides by the width (`unbiased=False`).": each(
                lambda parts: (parts.sum(0).var() + 1e-5).sqrt()
            ),
            "The scale is that of the parts' mean. The stream is their sum.": each(
                lambda parts: (parts.mean(0).var(unbiased=False) + 1e-5).sqrt()
            ),
            "The scale was taken with the mean left in: take the mean square about the mean.": each(
                lambda parts: (parts.sum(0).square().mean() + 1e-5).sqrt()
            ),
            "Absolute values were taken: a part can speak against a word.": [share.abs() for share in right],
            "The shares were divided by their sum. Return what each adds to the logit.": [
                share / share.sum() for share in right
            ],
            "That is the logit. Return the share of each part.": [share.sum() for share in right],
        },
        tolerance=1e-4,
        names=["the shares in the chapter's example", "the shares of five parts", "the shares of three parts"],
    )
    passed("1.41 and 0 in the example; shares and the norm's bias sum to the logit")


@quiet()
def by_head(student: Callable, seed: int = 0) -> None:
    draw = generator(seed)
    cases = [(torch.tensor([2.0, 3]), torch.tensor([[1.0, 0], [1, 1]]), 2)]
    for heads, size in ((3, 2), (2, 4)):
        width = heads * size
        cases.append((torch.randn(width, generator=draw), torch.randn(width, width, generator=draw), heads))

    def kept(owner: Callable, turned: bool = False) -> list[torch.Tensor]:
        """Each head keeps those entries of the mix that the owner gives it; owner takes (place, heads, size)."""
        found = []
        for mixed, weight, heads in cases:
            size = len(mixed) // heads
            mask = torch.tensor([[owner(place, heads, size) == head for place in range(len(mixed))]
                                 for head in range(heads)])  # fmt: skip
            found.append((mixed * mask) @ (weight.T if turned else weight))
        return found

    right = kept(lambda place, heads, size: place // size)
    judge_all(
        [call(student, *case) for case in cases],
        right,
        {
            "The matrix is transposed. GPT-2 keeps W_O as (in, out): mixed @ weight.": kept(
                lambda place, heads, size: place // size, turned=True
            ),
            "Every other entry went to a head. The mix stands head by head: the first head_width entries are head "
            "0's.": kept(lambda place, heads, size: place % heads),
            "The mix and the matrix were cut differently: each head's entries belong to its own rows.": [
                torch.einsum("ih,hiw->hw", mixed.reshape(-1, heads), weight.reshape(heads, -1, len(mixed)))
                for mixed, weight, heads in cases
            ],
            "The output was cut into heads. Each head writes a whole vector, from its own part of the mix.": [
                (mixed @ weight).reshape(heads, -1) for mixed, weight, heads in cases
            ],
            "Each head got the whole of what attention writes.": [
                (mixed @ weight).expand(heads, -1) for mixed, weight, heads in cases
            ],
            "What attention writes was shared out evenly. Heads differ.": [
                (mixed @ weight / heads).expand(heads, -1) for mixed, weight, heads in cases
            ],
            "That is what all heads write together. Return one row for each head.": [
                mixed @ weight for mixed, weight, _ in cases
            ],
        },
        names=["what two heads of one entry write", "what three heads write", "what two heads write"],
    )
    passed("each head's mix through its own rows, and together what attention writes")


def direct(answer, seed: int = 0) -> None:
    choice(
        answer,
        "b",
        {
            "a": "they add up to the logit, and that is another thing than what is lost when a part goes.",
            "b": "a head of block 0 brings the news, an MLP above it turns it into the answer, and the MLP gets the "
            "share.",
            "c": "the frozen scale is the same for all parts. It makes none of them small.",
            "d": "for and against cancel in what goes straight to the end, and then nothing would be lost there "
            "without the head.",
        },
    )


@quiet()
def patched(student: Callable, seed: int = 0) -> None:
    for kind, build in (("GPT-2", small_gpt2), ("Llama", small_llama)):
        for layer, position in ((0, 2), (1, 3), (1, 4)):
            _patched(student, build(seed), kind, layer, position, seed)
    _stopped(student, small_gpt2(seed))
    passed("the model goes on with the state that was put in, and is as before when it is done")


def _patched(student: Callable, model, kind: str, layer: int, position: int, seed: int) -> None:
    draw = generator(seed + layer + position)
    ids = torch.randint(1, 29, (5,), generator=draw)
    states = torch.randn(3, 6, generator=draw, dtype=torch.float64) * 2
    blocks = model.transformer.h if kind == "GPT-2" else model.model.layers

    def run(change: Callable | None, at: int = layer, after: bool = False, rows: torch.Tensor = states):
        handle = None
        if change is not None and after:
            handle = blocks[at].register_forward_hook(lambda module, inputs, output: change(output.clone()))
        elif change is not None:
            handle = blocks[at].register_forward_pre_hook(
                lambda module, inputs: (change(inputs[0].clone()), *inputs[1:])
            )
        try:
            with torch.no_grad():
                return model(ids.expand(len(rows), -1)).logits
        finally:
            if handle is not None:
                handle.remove()

    def put(where, what=states, add=False):
        def change(hidden):
            hidden[:, where] = (hidden[:, where] if add else 0) + what
            return hidden

        return change

    before = run(None)
    whole = run(put(position))
    hooks = _hooks_on(model)
    value = call(student, model, ids, layer, position, states)
    if _hooks_on(model) != hooks:
        raise Mistake("The model is not as it was: a hook is still on it. Remove it in a `finally`.")
    if isinstance(value, torch.Tensor) and value.requires_grad:
        raise Mistake("The logits carry gradients with them: work under `torch.no_grad()`.")
    mistakes = {
        "Nothing was put in: these are the logits of the prompt as it was.": before[:, -1],
        "The state was put in one layer too late: what enters the block is to be replaced, not what leaves it.": run(
            put(position), after=True
        )[:, -1],
        "The state was put in at all positions.": run(put(slice(None), states[:, None]))[:, -1],
        "The state was added to what was there. It takes its place.": run(put(position, add=True))[:, -1],
        "The first of the states was put into all copies. Each has its own.": run(put(position, states[:1]))[:, -1],
        "These are the logits at all positions. Return those after the last word.": whole,
        "These are probabilities. Return the logits.": whole[:, -1].softmax(-1),
        "The state was put in one position too early.": run(put(position - 1))[:, -1],
    }
    if position != 4:
        mistakes["These are the logits at the position. Return those after the last word."] = whole[:, position]
        mistakes["The state was put in at the last position, not at the one asked for."] = run(put(-1))[:, -1]
    if layer:
        mistakes["The state was put in at layer 0, whatever layer was asked for."] = run(put(position), at=0)[:, -1]
    judge(value, whole[:, -1], mistakes, name=f"the logits of a {kind} with states put in at layer {layer}")


def _stopped(student: Callable, model) -> None:
    """States of a width that no block takes: the run stops, and the hook has to go all the same."""
    before = _hooks_on(model)
    with contextlib.suppress(Mistake):
        call(student, model, torch.tensor([3, 4, 5]), 1, 1, torch.ones(2, 5, dtype=torch.float64))
    if _hooks_on(model) != before:
        raise Mistake("When the run stops with an error, the hook stays on the block. Remove it under `finally:`.")


def _hooks_on(model) -> int:
    """How many hooks are on the model, but for those that transformers puts there itself."""
    hooks = [
        hook
        for module in model.modules()
        for place in (module._forward_hooks, module._forward_pre_hooks)
        for hook in place.values()
    ]
    return sum(not (getattr(hook, "__module__", None) or "").startswith("transformers.") for hook in hooks)
