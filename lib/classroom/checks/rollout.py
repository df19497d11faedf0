"""Checks of chapter 02: heads fused, the residual added, layers multiplied, a baseline, discarding, and attention flow.

Each check tries a case worked by hand in the chapter, then properties, then agreement with glassbox on the attention
weights of a fresh random model.
"""

from collections.abc import Callable

import torch

from classroom.checks import call, choice, expect_tensor, judge, passed, quiet
from glassbox import attention as reference
from glassbox.flow import maximum_flow

Matrices = list[torch.Tensor]  # per layer (head, query, key)

BY_HAND = torch.tensor(
    [  # two heads read "The cat sat": (head, query, key)
        [[1.0, 0.0, 0.0], [0.6, 0.4, 0.0], [0.2, 0.7, 0.1]],
        [[1.0, 0.0, 0.0], [0.2, 0.8, 0.0], [0.4, 0.1, 0.5]],
    ],
    dtype=torch.float64,
)


FUSIONS = {"mean": torch.mean, "max": torch.amax, "min": torch.amin}


def random_attentions(seed: int, layers: int = 3, heads: int = 4, seq: int = 6) -> Matrices:
    """The attention weights of a random GPT-2 on a random text: per layer (head, query, key), float64."""
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = GPT2Config(
            vocab_size=50,
            n_positions=16,
            n_embd=8 * heads,
            n_layer=layers,
            n_head=heads,
            initializer_range=0.3,
            attn_implementation="eager",
            bos_token_id=0,
            eos_token_id=0,
        )
        model = GPT2LMHeadModel(config).double().eval()
        ids = torch.randint(0, 50, (1, seq))
        with torch.no_grad():
            return [layer[0] for layer in model(ids, output_attentions=True).attentions]


def batch_of_one(attentions: Matrices) -> Matrices:
    return [layer[None] for layer in attentions]


@quiet()
def fuse_heads(student: Callable, seed: int = 0) -> None:
    # As many heads as tokens in the second case: there no shape betrays the wrong axis.
    cases = (("The cat sat", BY_HAND), ("a random model", random_attentions(seed, heads=6, seq=6)[0]))
    for name, weights in cases:
        for how, fuse in FUSIONS.items():
            right = fuse(weights, 0)
            mistakes = {
                f'how="{how}" gave the sum over the heads. The mean divides by their number.': weights.sum(0),
                "You fused over the queries. In (head, query, key) the heads are axis 0.": fuse(weights, 1),
                "You fused over the keys. In (head, query, key) the heads are axis 0.": fuse(weights, 2),
                f'how="{how}" gave rows that were made to sum to one again. Leave that to the next step: here the '
                "weights stay as they are.": _rows(right),
                f'how="{how}" gave one number: the {how} over everything. Fuse over axis 0 only.': fuse(
                    weights, (0, 1, 2)
                ),
            }
            for other in FUSIONS.keys() - {how}:
                message = f'how="{how}" gave the {other} over the heads. Look at `how` before you fuse.'
                mistakes[message] = FUSIONS[other](weights, 0)
            for both in (torch.max, torch.min):
                message = (
                    f"torch.{both.__name__} over an axis gives two things, the values and where they stand. Return the "
                )
                mistakes[message + "values: `.values`, or amax and amin."] = [
                    part.double() for part in both(weights, 0)
                ]
            judge(call(student, weights, how), right, mistakes, name=f'the result for {name} with how="{how}"')
    passed("mean, max and min over the heads: one (query, key) matrix each, as glassbox fuses them")


@quiet()
def add_residual(student: Callable, seed: int = 0) -> None:
    heads = random_attentions(seed, layers=1)[0]
    cases = (
        ("The cat sat, heads fused by mean", BY_HAND.mean(0), 0.5),
        ("The cat sat with residual_weight=0.2", BY_HAND.mean(0), 0.2),
        ("The cat sat, heads fused by max", BY_HAND.amax(0), 0.5),
        ("a random model", heads.amin(0), 0.3),
    )
    for name, fused, share in cases:
        right = reference.with_residual(fused[None], share)[0]
        identity = torch.eye(len(fused), dtype=fused.dtype)
        mixed = (1 - share) * fused + share * identity
        judge(
            call(student, fused, share),
            right,
            {
                "The residual is missing: that is the attention alone. Each token also keeps residual_weight of "
                "itself.": fused / fused.sum(-1, keepdim=True),
                "The residual is missing: you returned the matrix that you were given. Add residual_weight times the "
                "identity.": fused,
                "The two shares are swapped: residual_weight belongs to the identity, 1 - residual_weight to the "
                "attention.": _rows(share * fused + (1 - share) * identity),
                "The rows don't sum to one. The weights which the heads were fused to need not do so, as here: "
                "divide each row by "
                "its sum after adding the residual.": mixed,
                "The columns sum to one, not the rows. Sum over the keys (the last axis) and keep the axis: "
                "`sum(dim=-1, keepdim=True)`.": mixed / mixed.sum(0, keepdim=True),
                "You divided by the sums of the rows, but along the columns: without keepdim=True, row sums are laid "
                "out as a row. "
                "Use `sum(dim=-1, keepdim=True)`.": mixed / mixed.sum(-1),
                "You divided by the sum of the whole matrix. Each row is divided by its own sum.": mixed / mixed.sum(),
                "You made the rows sum to one before the residual was added. Then a weak row counts as much as a "
                "strong one: mix "
                "first, divide afterwards.": (1 - share) * _rows(fused) + share * identity,
                "You added the whole identity to the whole attention. They are mixed: (1 - residual_weight) and "
                "residual_weight.": _rows(fused + identity),
                "The identity got its share, and the attention all of itself. It is mixed with 1 - residual_weight of "
                "the attention.": _rows(fused + share * identity),
                "You mixed in a matrix of ones (torch.ones), so that every token keeps every other one. A token "
                "keeps itself: that is "
                "the identity, torch.eye.": _rows((1 - share) * fused + share * torch.ones_like(fused)),
            },
            name=f"the result for {name}",
        )
    rows = expect_tensor(call(student, heads.amin(0), 0.3), (6, 6)).sum(-1)
    judge(rows, torch.ones(6), name="the sum of each row")
    judge(
        call(student, heads.mean(0), 1.0),
        torch.eye(6),
        name="the result with residual_weight=1, which keeps only the token itself,",
    )
    passed("each row sums to one, and residual_weight is the share that a token keeps of itself")


def _rows(matrix: torch.Tensor) -> torch.Tensor:
    return matrix / matrix.sum(-1, keepdim=True)


TWO_LAYERS = [  # one head a layer, residual not yet added
    torch.tensor([[[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]], dtype=torch.float64),
    torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]], dtype=torch.float64),
]


@quiet()
def rollout(student: Callable, seed: int = 0) -> None:
    random = random_attentions(seed)
    cases = [
        ("the two layers worked by hand", TWO_LAYERS, 0.5, "mean"),
        ("a random model", random, 0.5, "mean"),
        ("a random model, residual_weight=0.2", random, 0.2, "mean"),
        ('a random model, fuse="max"', random, 0.5, "max"),
    ]
    for name, attentions, share, fuse in cases:
        steps = [_step(layer, share, fuse) for layer in attentions]
        right = reference.rollout(batch_of_one(attentions), share, fuse)[0]
        value = call(student, attentions, share, fuse)
        judge(
            value,
            right,
            {
                "The layers are multiplied in the wrong order. What flows into the top passes the first layer first, "
                "so the first layer "
                "stands on the right: Â_L ⋯ Â_2 Â_1.": _product(steps[::-1]),
                "The matrices are multiplied entry by entry. Flow from j to i passes through every k, so it takes "
                "the matrix product "
                "`@`.": _entrywise(steps),
                "The layers are added up, not multiplied. A path goes through all layers, one after the other.": sum(
                    steps
                ),
                "The layers are averaged, not multiplied. A path goes through all layers, one after the other.": sum(
                    steps
                )
                / len(steps),
                "The result is transposed: here row j tells where token j went. Row i must tell what flowed into "
                "token i at the top.": right.T,
                "Each layer's matrix is transposed before the product. Keep (query, key): row i is what token i "
                "takes in.": _product([step.T for step in steps]),
                "That is the last layer alone. Multiply it by what the layers below have brought.": steps[-1],
                "That is the first layer alone. The later layers still have to be multiplied on.": steps[0],
                "The first layer is missing from the product. Start with it, or with the identity.": _product(
                    steps[1:]
                ),
                "The last layer is missing from the product. Does your loop stop one too early?": _product(steps[:-1]),
                "The residual is missing: only the attention weights are multiplied. Call add_residual in each "
                "layer.": _product([reference.FUSIONS[fuse](layer[None])[0] for layer in attentions]),
                "The result is zero everywhere: a product that starts at zeros stays there. Start with the first "
                "layer or the identity.": torch.zeros_like(right),
                "Everything is 1: a product that starts with a matrix of ones loses all that was in it. Start with "
                "the first layer or the identity, torch.eye.": torch.ones_like(right),
                "residual_weight is not passed on: this is the result for 0.5.": reference.rollout(
                    batch_of_one(attentions), 0.5, fuse
                )[0],
                "fuse is not passed on: this is the result for the mean.": reference.rollout(
                    batch_of_one(attentions), share, "mean"
                )[0],
                "You returned the last row only. Return the whole matrix; the reader picks the row.": right[-1],
            },
            name=f"your rollout for {name}",
        )
    result = expect_tensor(call(student, random, 0.5, "mean"), (6, 6))
    judge(result.sum(-1), torch.ones(6), name="the sum of each row")
    judge(result.triu(1), torch.zeros(6, 6), name="what flows from later tokens, which a causal model can't see,")
    judge(call(student, random[:1], 0.5, "mean"), _step(random[0], 0.5, "mean"), name="your rollout of a single layer")
    passed("the first layer on the right, rows that sum to one, nothing from the future: the same as glassbox")


def _step(layer: torch.Tensor, share: float, fuse: str) -> torch.Tensor:
    return reference.with_residual(reference.FUSIONS[fuse](layer[None]), share)[0]


def _product(steps: Matrices) -> torch.Tensor:
    """Later steps on the left."""
    flow = torch.eye(steps[0].shape[-1] if steps else 0, dtype=torch.float64)
    for step in steps:
        flow = step @ flow
    return flow


def _entrywise(steps: Matrices) -> torch.Tensor:
    flow = steps[0]
    for step in steps[1:]:
        flow = step * flow
    return flow


@quiet()
def uniform_rollout(student: Callable, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    depth, length = (int(torch.randint(3, 9, (1,), generator=generator)) for _ in range(2))
    for name, layers, seq, share in (
        ("1 layer, 3 tokens", 1, 3, 0.5),
        ("2 layers, 3 tokens", 2, 3, 0.5),
        (f"{depth} layers, {length + 2} tokens", depth, length + 2, 0.3),
    ):
        causal = [layer[0] for layer in reference.uniform_attention(layers, seq)]
        matrix = reference.rollout(batch_of_one(causal), share)[0]
        everything = [layer[0] for layer in reference.uniform_attention(layers, seq, causal=False)]
        ones = torch.ones(seq, seq, dtype=torch.float64).tril()[None]
        judge(
            call(student, layers, seq, share),
            matrix[-1],
            {
                "Every token looks at every other one, also at later ones. In a causal model, token i sees the i + 1 "
                "tokens up to itself: "
                "torch.tril.": reference.rollout(batch_of_one(everything), share)[0, -1],
                "You returned the whole matrix. The baseline of the last token is its row: [-1].": matrix,
                "That is the last column: how much of the last token reached each token. You need the last "
                "row.": matrix[:, -1],
                "That is the first column: how much of the first token reached each token. You need the last "
                "row.": matrix[:, 0],
                "That is the first row: what flowed into the first token. You need the last one.": matrix[0],
                "That is the uniform attention itself. Roll it out through the layers.": causal[0][0, -1],
                "The residual is missing, or its weight is not passed on to rollout.": reference.rollout(
                    batch_of_one(causal), 0.0
                )[0, -1],
                "residual_weight is not passed on to rollout: this is the result for 0.5.": reference.rollout(
                    batch_of_one(causal)
                )[0, -1],
                "That is one layer. The same attention is repeated in each of the layers.": reference.rollout(
                    batch_of_one(causal[:1]), share
                )[0, -1],
                "The rows of the uniform attention don't sum to one: row i has i + 1 entries, each 1 / (i + 1), not "
                "1 / seq.": _product([_rows((1 - share) * ones[0] / seq + share * torch.eye(seq))] * layers)[-1],
                "The rows of the uniform attention don't sum to one: divide the triangle of ones by the sum of each "
                "row.": _product([_rows((1 - share) * ones[0] + share * torch.eye(seq))] * layers)[-1],
            },
            name=f"the baseline for {name}",
        )
    passed("attention that prefers nothing already prefers the first tokens: this is the baseline to beat")


@quiet()
def discard(student: Callable, seed: int = 0) -> None:
    hand = torch.tensor(
        [[1.0, 0.0, 0.0, 0.0], [0.6, 0.4, 0.0, 0.0], [0.7, 0.2, 0.1, 0.0], [0.3, 0.1, 0.5, 0.1]], dtype=torch.float64
    )  # here each of the mistakes below gives something else
    random = random_attentions(seed, seq=7)[1].mean(0)
    blind = torch.tensor(
        [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.6, 0.4, 0.0, 0.0], [0.1, 0.2, 0.3, 0.4]], dtype=torch.float64
    )  # two of its allowed entries are zero
    for name, fused, ratio in (
        ("The cat sat down, ratio 0.45", hand, 0.45),
        ("The cat sat down, ratio 0.35", hand, 0.35),
        ("a random model, ratio 0.3", random, 0.3),
        ("a random model, ratio 0.8", random, 0.8),
        ("a layer in which allowed entries are zero, ratio 0.4", blind, 0.4),
    ):
        seq = len(fused)
        allowed = torch.ones(seq, seq, dtype=torch.bool).tril()
        below = torch.ones(seq, seq, dtype=torch.bool).tril(-1)
        right = _dropped(fused, allowed, ratio * int(allowed.sum()))
        # 4.5 entries are 4 to whoever rounds to the nearest (Python's round takes the even one), but 3.5 are 4 as well.
        too_many = "You rounded to the nearest whole number" if ratio == 0.35 else "One entry too many went"
        judge(
            call(student, fused, ratio),
            right,
            {
                "You count over the whole matrix, and the half above the diagonal is zero already: those zeros are "
                "the smallest entries, "
                "so nothing real is dropped. Count the allowed entries only, the lower triangle.": _dropped(
                    fused, torch.ones_like(allowed), ratio * seq * seq
                ),
                "You drop the right entries but too many: ratio counts the allowed entries, n(n+1)/2, not all "
                "n².": _dropped(fused, allowed, ratio * seq * seq),
                "You discard in each row by itself. The smallest of the whole layer go, wherever they "
                "stand.": _dropped_by_row(fused, ratio),
                "You dropped the largest entries. The smallest go.": -_dropped(
                    -fused, allowed, ratio * int(allowed.sum())
                ),
                "You kept the share `ratio` and dropped the rest. Drop the share `ratio`.": _dropped(
                    fused, allowed, int(allowed.sum()) - int(ratio * int(allowed.sum()))
                ),
                "You left the diagonal out of the count. A token may look at itself, so these entries count "
                "too.": _dropped(fused, below, ratio * int(below.sum())),
                "You made the rows sum to one after discarding. Leave that to add_residual, which comes next.": _rows(
                    right
                ),
                "You took the quantile over the whole matrix, so the zeros above the diagonal are counted. Take it "
                "over the allowed entries only, the lower triangle.": fused.masked_fill(
                    fused <= torch.quantile(fused.flatten(), ratio), 0.0
                ),
                "You counted only what is above zero. An allowed entry counts even if it is zero.": _dropped(
                    fused, fused > 0, ratio * int((fused > 0).sum())
                ),
                f"{too_many}: round the number of entries down, int(ratio * n).": _dropped(
                    fused, allowed, int(ratio * int(allowed.sum())) + 1
                ),
                "Nothing was dropped.": fused,
            },
            name=f"the layer for {name}",
        )
    judge(call(student, random, 0.0), random, name="the layer with ratio 0, which drops nothing,")
    passed("the smallest of the allowed entries are gone, and no others")


def _dropped(fused: torch.Tensor, allowed: torch.Tensor, number: float) -> torch.Tensor:
    """Without the smallest entries among the allowed ones."""
    order = fused.masked_fill(~allowed, torch.inf).flatten().argsort(stable=True)
    kept = fused.flatten().clone()
    kept[order[: int(number + 1e-9)]] = 0.0
    return kept.view_as(fused)


def _dropped_by_row(fused: torch.Tensor, ratio: float) -> torch.Tensor:
    rows = []
    for i, row in enumerate(fused):
        allowed = torch.arange(len(row)) <= i
        rows.append(_dropped(row, allowed, ratio * (i + 1)))
    return torch.stack(rows)


@quiet()
def attention_flow(student: Callable, seed: int = 0) -> None:
    hand = [_step(layer, 0.5, "mean") for layer in TWO_LAYERS]
    attentions = random_attentions(seed, seq=5)
    random = [_step(layer, 0.5, "mean") for layer in attentions]
    bottleneck = [  # what reaches the top from token 0 has to pass a narrow place that rollout does not notice
        torch.tensor([[1.0, 0.0, 0.0], [0.9, 0.1, 0.0], [0.0, 0.2, 0.8]], dtype=torch.float64),
        torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.1, 0.6, 0.3]], dtype=torch.float64),
    ]
    cases = (
        ("the two layers worked by hand", hand, 2),
        ("a narrow path", bottleneck, 2),
        ("a random model", random, 4),
        ("a random model, token 2", random, 2),
    )
    for name, steps, position in cases:
        right = _shares(steps, position)
        judge(
            call(student, steps, position),
            right,
            {
                "The flows are right. Now divide them by their sum, so that they can be compared with "
                "rollout.": maximum_flow(steps, position),
                "That is rollout: a product of shares along each path. The maximum flow asks how much fits through "
                "at once.": _product(steps)[position],
                "The layers are in the wrong order: the last matrix lies at the top, where the flow starts.": _shares(
                    steps[::-1], position
                ),
                "The edges run the wrong way: entry [i, j] of a layer joins token i above with token j below.": _shares(
                    [step.T for step in steps], position
                ),
                "That is the widest single path to each token. The maximum flow adds up all that fits through at "
                "once, over many paths.": _widest_path(steps, position),
                "That is the flow into the first token. Start at `position`.": _shares(steps, 0),
                "That is the flow into the last token, whatever `position` is.": _shares(steps, len(steps[0]) - 1),
                "The flow starts one layer too low: the last layer is missing.": _shares(steps[:-1], position),
            },
            tolerance=1e-4,
            name=f"the flow for {name}",
        )
    judge(expect_tensor(call(student, random, 4), (5,)).sum(), 1.0, name="the sum of the scores")
    passed("as much as fits through the layers, divided by its sum: the same as glassbox")


def _shares(steps: Matrices, position: int) -> torch.Tensor:
    flow = maximum_flow(steps, position)
    return flow / flow.sum()


def _widest_path(steps: Matrices, position: int) -> torch.Tensor:
    width = torch.full((len(steps[0]),), 0.0, dtype=torch.float64)
    width[position] = torch.inf
    for step in reversed(steps):
        width = torch.minimum(width[:, None], step).amax(0)
    return width / width.sum()


def why_identity(answer: str) -> None:
    choice(
        answer,
        right="b",
        reasons={
            "a": "The rows of attention weights sum to one with or without it. What would be lost is something that "
            "the block does.",
            "b": "A block adds its output to what came in (x + attention(x)), so each token carries itself on, "
            "whatever attention looks at.",
            "c": "The causal mask has nothing to do with it: an encoder without a mask has residual connections too.",
            "d": "The identity is no trick against zeros. It stands for a real path, the residual stream, by which "
            "most of a token passes.",
        },
    )


def which_entry(answer: str) -> None:
    choice(
        answer,
        right="c",
        reasons={
            "a": "R[0, 4] lies above the diagonal: it would be what flowed from token 4 back into token 0. In a "
            "causal model it is 0.",
            "b": "The first layer alone does not know what the layers above did with it.",
            "c": "Rows are the tokens at the top, columns the tokens at the bottom: R[4, 0] is what token 4 holds of "
            "token 0.",
            "d": "A column sum tells how much of token 0 went anywhere. The question is about token 4.",
        },
    )


def first_token(answer: str) -> None:
    choice(
        answer,
        right="d",
        reasons={
            "a": "It might be important, but this does not show it: uniform attention gives almost the same.",
            "b": "The position's embedding does not enter rollout at all. Rollout only sees attention weights.",
            "c": "The sum of each row is 1, whatever the model does. Nothing can be read from it.",
            "d": "Every token can look at the first one, so its share grows in each layer, whatever the heads prefer. "
            "Compare with the baseline before you believe a score.",
        },
    )
