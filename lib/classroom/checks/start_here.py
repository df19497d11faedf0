"""Checks of chapter 00: surprisal, byte pair encoding, embedding, unembedding, parameters, and generation.

Each check tries a case worked by hand in the chapter, then others drawn from the seed, then agreement with the model or
the tokenizer that transformers builds.
"""

import math
from collections.abc import Callable
from random import Random

import torch

from classroom.checks import Mistake, call, choice, expect_tensor, judge, judge_all, passed, quiet


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small_gpt2(seed: int, vocabulary: int = 29, positions: int = 13, width: int = 6, layers: int = 2):
    """A random GPT-2 in float64 whose norms do something."""
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = GPT2Config(
            vocab_size=vocabulary,
            n_positions=positions,
            n_embd=width,
            n_layer=layers,
            n_head=2,
            initializer_range=0.4,
            bos_token_id=0,
            eos_token_id=0,
        )
        model = GPT2LMHeadModel(config).double().eval()
        with torch.no_grad():
            model.transformer.ln_f.weight.normal_(1, 0.5)
            model.transformer.ln_f.bias.normal_(0, 0.5)
        return model


@quiet()
def bits(student: Callable, seed: int = 0) -> None:
    drawn = torch.rand(3, 4, generator=generator(seed), dtype=torch.float64) * 0.98 + 0.01
    for name, chance in (("1/2, 1/4, 1/8 and 1", torch.tensor([0.5, 0.25, 0.125, 1.0])), ("random numbers", drawn)):
        judge(
            call(student, chance),
            -chance.log2(),
            {
                "The sign is missing: the logarithm of a probability is never positive, and a surprise should "
                "be.": chance.log2(),
                "You counted in nats: that is the natural logarithm. One bit is the logarithm to the base of two, "
                "`log2`.": -chance.log(),
                "You took the logarithm to the base of ten. One bit belongs to the base of two, "
                "`log2`.": -chance.log10(),
                "You returned one over the probability. Its logarithm to the base of two is the surprisal.": 1 / chance,
                "You multiplied by the probability: p · -log2(p) is what a word adds to the entropy, the surprise "
                "that is "
                "expected. Here the word has been seen.": -chance * chance.log2(),
                "You returned one number for all. Each probability has a surprisal of its own.": -chance.log2().mean(),
                "You returned 1 - p. That is large for rare words too, but two coins would not be twice one coin.": 1
                - chance,
            },
            name=f"the surprisal of {name}",
        )
    passed("half a chance is one bit, certainty is none, and each probability has its own surprisal")


HAND = [("e", "r"), ("w", "er"), ("l", "o"), ("lo", "w")]


def _merge(
    word: str, merges: list[tuple[str, str]], pick: Callable, glue_all: bool = True, once: bool = False
) -> list[str]:
    """Byte pair encoding with the choice of the next pair, left open."""
    rank = {pair: place for place, pair in enumerate(merges)}
    pieces = list(word)
    while known := [pair for pair in zip(pieces, pieces[1:], strict=False) if pair in rank]:
        best, glued, place = pick(known, rank), [], 0
        while place < len(pieces):
            pair = tuple(pieces[place : place + 2]) == best
            glued.append("".join(pieces[place : place + 1 + pair]))
            place += 1 + pair
        pieces = glued
        if once:
            break
    return pieces


def _earliest(known: list, rank: dict) -> tuple:
    return min(known, key=rank.get)


def _longest(word: str, merges: list[tuple[str, str]]) -> list[str]:
    """The longest known piece from the left, as other tokenizers do."""
    known, pieces = {first + second for first, second in merges}, []
    while word:
        size = next(size for size in range(len(word), 0, -1) if size == 1 or word[:size] in known)
        pieces, word = [*pieces, word[:size]], word[size:]
    return pieces


def learned_merges(seed: int) -> list[tuple[str, str]]:
    """A merge list as training would give it, from random words over few letters. Later pairs are made of earlier "
    "ones."""
    random, merges = Random(seed), []
    words = [[random.choice("aber") for _ in range(9)] for _ in range(12)]
    for _ in range(8):
        pairs = [pair for word in words for pair in zip(word, word[1:], strict=False)]
        best = max(sorted(set(pairs) - set(merges)), key=pairs.count)
        merges.append(best)
        words = [_merge("".join(word), merges, _earliest) for word in words]
    return merges


@quiet()
def merge(student: Callable, seed: int = 0) -> None:
    random = Random(seed)
    drawn = learned_merges(seed)
    cases = [
        ("lower", HAND),
        ("lowlow", HAND),
        ("lol", [("l", "o")]),
        ("erer", HAND),
        ("x", HAND),
        ("aaaa", [("a", "a"), ("aa", "aa")]),
    ]
    cases += [("".join(random.choice("aber") for _ in range(12)), drawn) for _ in range(25)]
    values = [call(student, word, merges) for word, merges in cases]
    for (word, _), value in zip(cases, values, strict=True):
        pieces = isinstance(value, list | tuple) and all(isinstance(piece, str) for piece in value)
        if pieces and "".join(value) != word:
            raise Mistake(
                f"The pieces of {word!r} read {''.join(value)!r} when glued together: letters were lost or added. Step "
                "over two pieces where you glue a pair, and over one where you don't."
            )
    judge_all(
        values,
        [_merge(*case, _earliest) for case in cases],
        {
            "You took pairs from left to right, whichever comes first. Take the pair that stands earliest in the "
            "list of "
            "merges, wherever it stands in the word.": [_merge(*case, lambda known, rank: known[0]) for case in cases],
            "You took the latest pair in the list first. The earliest was learned first, and goes first.": [
                _merge(*case, lambda known, rank: max(known, key=rank.get)) for case in cases
            ],
            "You stopped after one merge. Go back and look for the next pair until none is left.": [
                _merge(*case, _earliest, once=True) for case in cases
            ],
            "The word is still in letters: no pair was glued. Are your pairs tuples, as in the list?": [
                list(word) for word, _ in cases
            ],
            "You took the longest piece from the left. That is another algorithm: byte pair encoding builds pieces up, "
            "pair by pair, in the order of the list.": [_longest(*case) for case in cases],
        },
        names=[f"the pieces of {word!r}" for word, _ in cases],
    )
    passed("the earliest pair in the list is glued first, everywhere, until none is left")


def space(answer, seed: int = 0) -> None:
    choice(
        answer,
        "b",
        {
            "a": 'asked for " Paris", it gives nearly all of the probability to it; the figure shows that it knows.',
            "b": "the space belongs to the token. Without it, the letters are tokens that stand inside or at the "
            "start of a "
            "text, and after `of` the model expects a new word.",
            "c": "' Paris' is a single token of this tokenizer; only unknown words fall into smaller pieces.",
            "d": "the start token stands once, at the beginning of the text, and takes nobody's place.",
        },
    )


@quiet()
def embed(student: Callable, seed: int = 0) -> None:
    draw = generator(seed)
    cases = [
        (
            torch.tensor([2, 0, 2]),
            torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]]),
            torch.tensor([[0.1, 0.0], [0.2, 0.0], [0.3, 0.0], [0.4, 0.0]]),
        ),
        (torch.tensor([5, 1, 5, 3, 6]), torch.randn(7, 4, generator=draw), torch.randn(9, 4, generator=draw)),
    ]
    judge_all(
        [call(student, *case) for case in cases],
        [t[i] + p[: len(i)] for i, t, p in cases],
        {
            "The positions are missing: the same token gets the same vector wherever it stands.": [
                t[i] for i, t, p in cases
            ],
            "The tokens are missing: these are the rows of the position table alone.": [
                p[: len(i)] for i, t, p in cases
            ],
            "The position table was read at the ids. It is read at the places 0, 1, 2, ...": [
                t[i] + p[i] for i, t, p in cases
            ],
            "The tokens' rows were taken in the order of the table, not at the ids.": [
                t[: len(i)] + p[: len(i)] for i, t, p in cases
            ],
            "The places count from 1. The first token stands at place 0.": [
                t[i] + p[1 : len(i) + 1] for i, t, p in cases
            ],
            "The two were multiplied. They are added.": [t[i] * p[: len(i)] for i, t, p in cases],
            "The places run backwards.": [t[i] + p[: len(i)].flip(0) for i, t, p in cases],
        },
        names=["the stream of the chapter's example", "the stream of random tables"],
    )
    passed("each token's row plus its place's row: (seq, width)")


@quiet()
def unembed(student: Callable, seed: int = 0) -> None:
    model = small_gpt2(seed)
    norm, table = model.transformer.ln_f, model.transformer.wte.weight.detach()
    drawn = torch.randn(5, 6, generator=generator(seed), dtype=torch.float64) * 2 + 0.7
    with torch.no_grad():
        theirs = model.lm_head(norm(drawn))
    by_hand = torch.tensor([[3.0, 1.0, -1.0, -3.0]], dtype=torch.float64)
    rows = torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, -1.0]], dtype=torch.float64)
    one, none = torch.ones(4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    gain, bias = norm.weight.detach(), norm.bias.detach()
    for name, (stream, g, b, words, right) in {
        "a random model": (drawn, gain, bias, table, theirs),
        "the example of the chapter": (by_hand, one, none, rows, by_hand / (5 + 1e-5) ** 0.5 @ rows.T),
    }.items():
        centred = stream - stream.mean(-1, keepdim=True)
        variance = centred.pow(2).mean(-1, keepdim=True)
        deviation = (variance + 1e-5).sqrt()
        unbiased = (centred.pow(2).sum(-1, keepdim=True) / (stream.shape[-1] - 1) + 1e-5).sqrt()
        over_tokens = stream - stream.mean(0, keepdim=True)
        all_at_once = (stream - stream.mean()) / (stream.var(unbiased=False) + 1e-5).sqrt()
        deviation_over_tokens = (over_tokens.pow(2).mean(0, keepdim=True) + 1e-5).sqrt()
        judge(
            call(student, stream, g, b, words),
            right,
            {
                "The stream was not normalised: subtract each vector's mean and divide by its standard deviation "
                "first.": stream @ words.T,
                "The stream was not normalised, only gain and bias were applied.": (stream * g + b) @ words.T,
                "The variance was divided by the width less one, which is what `var` and `std` do if nobody tells them "
                "otherwise. Pass unbiased=False.": (centred / unbiased * g + b) @ words.T,
                "You divided by the variance. Divide by its square root.": (centred / (variance + 1e-5) * g + b)
                @ words.T,
                "The mean was not subtracted before dividing. (Leaving it in gives another norm, RMSNorm, if the "
                "rest fits too.)": (stream / deviation * g + b) @ words.T,
                "You normalised over the tokens (the first axis). Each token's vector is normalised by itself, over "
                "the last "
                "axis.": (over_tokens / deviation_over_tokens * g + b) @ words.T,
                "Mean and variance were taken over all tokens together. Each token's vector is normalised by itself: "
                "`dim=-1, keepdim=True`.": (all_at_once * g + b) @ words.T,
                "Gain and bias are missing.": centred / deviation @ words.T,
                "The bias is missing.": centred / deviation * g @ words.T,
                "The gain is missing.": (centred / deviation + b) @ words.T,
                "Gain and bias were swapped.": (centred / deviation * b + g) @ words.T,
                "The norm was applied twice.": (
                    torch.nn.functional.layer_norm(centred / deviation * g + b, g.shape, g, b, 1e-5)
                )
                @ words.T,
                "You returned probabilities. The logits are the dot products themselves; the softmax comes "
                "later.": right.softmax(-1),
            },
            name=f"the logits of {name}",
        )
    flat = call(student, torch.full((1, 4), 2.0, dtype=torch.float64), one, none, rows)
    judge(flat, torch.zeros(1, 3), name="the logits of a vector whose entries are all equal (epsilon keeps it finite)")
    passed("each vector normalised by itself, then compared with each row of the table: the model's own logits")


def tied(answer, seed: int = 0) -> None:
    choice(
        answer,
        "a",
        {
            "a": "a row is usually most like itself, so the bare embedding of a token points at that token. To "
            "predict the *next* "
            "one, the blocks have to write something else into the stream.",
            "b": "every row of the table gets a logit, whether its token stood in the prompt or not.",
            "c": "logits can be any numbers, and rows of the table sum to nothing in particular; the softmax makes "
            "probabilities.",
            "d": "they change the stream, which begins as such a vector. The table itself stays as it is.",
        },
    )


@quiet()
def count_parameters(student: Callable, seed: int = 0) -> None:
    random = Random(seed)
    sizes = [
        (10, 4, 2, 1),
        (29, 13, 6, 2),
        *(
            (random.randint(20, 60), random.randint(5, 30), 2 * random.randint(2, 6), random.randint(1, 4))
            for _ in range(3)
        ),
    ]
    rights = [sum(parameter.numel() for parameter in small_gpt2(0, *size).parameters()) for size in sizes]
    less = {
        "The token table was counted twice. The unembedding is the same table, so it adds "
        "nothing.": lambda v, n, d, k: -v * d,
        "The token table is missing: one row of the width for each token.": lambda v, n, d, k: v * d,
        "The position table is missing: one row of the width for each position.": lambda v, n, d, k: n * d,
        "The last norm is missing: gain and bias after all blocks.": lambda v, n, d, k: 2 * d,
        "A block has two norms, each with gain and bias; you counted one.": lambda v, n, d, k: k * 2 * d,
        "In each block 4d are missing. Either the two norms are, or the biases of attention's four "
        "matrices.": lambda v, n, d, k: k * 4 * d,
        "All norms are missing, those in the blocks and the last one.": lambda v, n, d, k: k * 4 * d + 2 * d,
        "The biases of the MLP are missing: one of width 4d and one of width d.": lambda v, n, d, k: k * 5 * d,
        "All biases of the matrices are missing, in attention and in the MLPs.": lambda v, n, d, k: k * 9 * d,
        "Attention has four square matrices; you counted three. The fourth is the one that writes back into the "
        "stream.": lambda v, n, d, k: k * (d * d + d),
        "You counted one block. There are `layers` of them.": lambda v, n, d, k: (k - 1) * (12 * d * d + 13 * d),
        "The MLP's two matrices are d by 4d and 4d by d. You counted one of them.": lambda v, n, d, k: k * 4 * d * d,
        "The last norm was counted in each block.": lambda v, n, d, k: -(k - 1) * 2 * d,
        "You multiplied everything by `layers`. The tables and the last norm stand outside the blocks, and are there "
        "once.": lambda v, n, d, k: -(k - 1) * (v * d + n * d + 2 * d),
        "The MLP's second bias has width d, not 4d: the second matrix leads back to the stream.": lambda v, n, d, k: (
            -k * 3 * d
        ),
    }
    judge_all(
        [call(student, *size) for size in sizes],
        rights,
        {
            message: [right - missing(*size) for right, size in zip(rights, sizes, strict=True)]
            for message, missing in less.items()
        },
        tolerance=1e-9,
        names=[
            f"the count for {v} tokens, {n} positions, width {d} and {k} {'layer' if k == 1 else 'layers'}"
            for v, n, d, k in sizes
        ],
    )
    passed("the same number as transformers counts, for models of several sizes")


@quiet()
def probabilities(student: Callable, seed: int = 0) -> None:
    drawn = torch.randn(9, generator=generator(seed), dtype=torch.float64) * 3
    for name, logits in (("2, 1, 0", torch.tensor([2.0, 1.0, 0.0], dtype=torch.float64)), ("random logits", drawn)):
        for temperature in (1.0, 2.0, 0.5):
            judge(
                call(student, logits, temperature),
                (logits / temperature).softmax(-1),
                {
                    f"At T = {temperature:g} you multiplied by the temperature. Divide: a high temperature makes the "
                    f"logits "
                    "more alike.": (logits * temperature).softmax(-1),
                    f"At T = {temperature:g} the temperature changes nothing in your answer.": logits.softmax(-1),
                    "You divided the probabilities by the temperature, after the softmax. Divide the logits, before "
                    "it.": logits.softmax(-1) / temperature,
                    "You took each probability to the power of 1/T and did not divide by the new sum.": logits.softmax(
                        -1
                    )
                    ** (1 / temperature),
                    "The exponentials were not divided by their sum.": (logits / temperature).exp(),
                    "The exponentials (with the largest logit subtracted) were not divided by their sum.": (
                        (logits - logits.max()) / temperature
                    ).exp(),
                    "You divided the logits by their sum. Take the exponentials first.": logits
                    / temperature
                    / (logits / temperature).sum(),
                    "You returned logarithms of probabilities (log_softmax).": (logits / temperature).log_softmax(-1),
                },
                name=f"the probabilities of {name} at T = {temperature:g}",
            )
    with_tie = torch.tensor([1.0, 4.0, 4.0, 2.0], dtype=torch.float64)
    judge(
        call(student, with_tie, 0),
        torch.tensor([0.0, 1.0, 0.0, 0.0]),
        {
            "At T = 0 two equal logits share the probability. Give all of it to the first of them.": torch.tensor(
                [0.0, 0.5, 0.5, 0.0]
            ),
            "At T = 0 you returned the plain softmax. T = 0 stands for greedy: everything to the largest "
            "logit.": with_tie.softmax(-1),
        },
        name="the probabilities of 1, 4, 4, 2 at T = 0",
    )
    large = torch.tensor([1000.0, 999.0, 0.0], dtype=torch.float64)
    value = call(student, large, 1.0)
    if isinstance(value, torch.Tensor) and not value.isfinite().all():
        raise Mistake(
            "Logits of 1000 give NaN: exp(1000) is infinite. Subtract the largest logit before the exponential."
        )
    judge(value, large.softmax(-1), name="the probabilities of 1000, 999, 0")
    passed("sums to one, T = 0 is greedy, large logits stay finite")


def _kept(
    chance: torch.Tensor,
    k: int | None,
    p: float | None,
    needed: Callable = lambda values, total, p: total - values < p - 1e-12,
    rescaled: bool = True,
) -> torch.Tensor:
    """What k and p leave of probabilities, with what top-p needs left open."""
    values, order = chance.sort(descending=True, stable=True)
    kept = torch.ones_like(values, dtype=torch.bool)
    if k is not None:
        kept[k:] = False
    if p is not None:
        kept &= needed(values, values.cumsum(0), p)
    left = torch.zeros_like(chance)
    left[order[kept]] = values[kept]
    return left / left.sum() if rescaled else left


def _least(chance: torch.Tensor, k: int | None, p: float | None) -> torch.Tensor:
    return _kept(-chance, k, None) if k is not None else _kept(chance, k, p)


def _first(chance: torch.Tensor, k: int | None, p: float | None) -> torch.Tensor:
    left = chance * (torch.arange(len(chance)) < (len(chance) if k is None else k))
    return left / left.sum() if k is not None else _kept(chance, k, p)


@quiet()
def keep_top(student: Callable, seed: int = 0) -> None:
    by_hand = torch.tensor([0.05, 0.5, 0.15, 0.3], dtype=torch.float64)
    drawn = torch.randn(9, generator=generator(seed), dtype=torch.float64).softmax(-1)
    knobs = [
        (2, None),
        (None, 0.9),
        (None, 0.3),
        (None, 0.6),
        (3, 0.9),
        (3, 0.82),
        (3, 0.75),
        (2, 0.95),
        (100, None),
        (None, 1.0),
    ]
    cases = [(chance, k, p) for chance in (by_hand, drawn) for k, p in [*knobs, (None, None)]]
    values = [call(student, *case) for case in cases]
    for (_, k, p), value in zip(cases, values, strict=True):
        if isinstance(value, torch.Tensor) and value.isnan().all() and p is not None:
            raise Mistake(
                f"With k={k}, p={p} nothing is left, and 0 / 0 is NaN. The word that crosses the line is kept too, so "
                "at least one always is."
            )
    strict = [_kept(c, k, p, lambda v, total, p: (total <= p) | (v == v[0])) for c, k, p in cases]
    judge_all(
        values,
        [_kept(*case) for case in cases],
        {
            "Nothing was cut off.": [c for c, k, p in cases],
            "The right words are kept, but their probabilities no longer sum to one. Divide by the sum.": [
                _kept(*case, rescaled=False) for case in cases
            ],
            "The words changed places: you returned the sorted probabilities. Put each back where it came from.": [
                _kept(*case).sort(descending=True).values for case in cases
            ],
            "The word that crosses the line p is missing. It is needed to reach p, so it is kept.": strict,
            "You kept the words whose own probability is at least p. It is the sum of the most probable ones that "
            "has to "
            "reach p.": [_kept(c, k, p, lambda v, total, p: (v >= p) | (v == v[0])) for c, k, p in cases],
            "p was measured after k had cut and rescaled. It is measured on the probabilities as they were given.": [
                _kept(_kept(c, k, None), None, p) for c, k, p in cases
            ],
            "Where k and p are both given, only k was used.": [
                _kept(c, k, p if k is None else None) for c, k, p in cases
            ],
            "Where k and p are both given, only p was used.": [
                _kept(c, k if p is None else None, p) for c, k, p in cases
            ],
            "With k you kept the least probable words. Sort with descending=True.": [_least(*case) for case in cases],
            "With k you kept the first words of the vocabulary, not the most probable ones. Sort first.": [
                _first(*case) for case in cases
            ],
        },
        names=[f"what is kept of {len(c)} probabilities with k={k}, p={p}" for c, k, p in cases],
    )
    passed("k words, or as many as reach p, the one that crosses the line included; in their places, summing to one")


@quiet()
def generate(student: Callable, seed: int = 0) -> None:
    vocabulary, stop = 11, 3
    calls: list[torch.Tensor] = []

    def next_logits(ids: torch.Tensor) -> torch.Tensor:
        """A model with a rule: after a text, the next id is known from all that stands in it."""
        calls.append(ids.clone())
        logits = torch.zeros(len(ids), vocabulary)
        for place in range(len(ids)):
            read = ids[: place + 1]
            logits[place, _next(read)] = -5.0
        return logits

    def _next(read: torch.Tensor) -> int:
        number = int((read * torch.arange(1, len(read) + 1)).sum() + seed) % (vocabulary - 4) + 4
        return stop if len(read) == 9 else number

    def right(ids: torch.Tensor, steps: int) -> torch.Tensor:
        for _ in range(steps):
            ids = torch.cat([ids, torch.tensor([_next(ids)])])
            if ids[-1] == stop:
                break
        return ids

    def choose(row: torch.Tensor) -> int:
        if not isinstance(row, torch.Tensor) or row.shape != (vocabulary,):
            shape = tuple(row.shape) if isinstance(row, torch.Tensor) else type(row).__name__
            raise Mistake(
                f"`choose` was given {shape}. It takes one row of logits, ({vocabulary},): the row of the last place."
            )
        return int(row.argmin())  # not the largest, so that a function which never asks `choose` is found out

    prompt = torch.tensor([1, 5, 2, 7])
    for steps in (3, 9, 0):
        calls.clear()
        text = right(prompt, steps)
        value = call(student, next_logits, prompt, choose, steps, stop)
        first_row = prompt
        for _ in range(steps):
            first_row = torch.cat([first_row, torch.tensor([_next(first_row[:1])])])
        stale, never = prompt, prompt
        for _ in range(steps):
            stale = torch.cat([stale, torch.tensor([_next(prompt)])])
            never = torch.cat([never, torch.tensor([_next(never)])])
        alone, read = prompt, prompt
        for _ in range(steps):
            read = torch.tensor([_next(read)])
            alone = torch.cat([alone, read])
        without_stop = text[:-1] if text[-1] == stop else text
        mistakes = {
            "You took the first row of the logits. The next word is predicted at the last place.": first_row,
            "The model read the same prompt each time. It has to read the longer text, with the new word at its "
            "end.": stale,
            "The model read only the new word. It has no memory of its own: give it the whole text each time.": alone,
            "The text goes on after `stop`.": never,
            "`stop` itself is missing at the end. It still belongs to the text.": without_stop,
            "The prompt is missing in front of the new words.": text[len(prompt) :],
            "One word too many was generated.": right(prompt, steps + 1),
            "One word too few was generated.": right(prompt, max(steps - 1, 0)),
            "Only the last word was returned.": text[-1:],
            "You took the largest logit. Which word follows is for `choose` to say: give it the row.": torch.cat(
                [prompt, torch.zeros(steps, dtype=prompt.dtype)]
            ),
        }
        judge(
            value,
            text,
            {
                message: wrong
                for message, wrong in mistakes.items()
                if wrong.shape != text.shape or not torch.equal(wrong, text)
            },
            tolerance=1e-9,
            name=f"the text after {steps} steps",
        )
        new = len(text) - len(prompt)
        if len(calls) != new:
            raise Mistake(
                f"The text is right, but the model was asked {len(calls)} times for {new} new words. Once for each "
                f"is enough."
            )
    passed("each new word is predicted at the last place of the whole text, and stop ends it")


def temperature(answer, seed: int = 0) -> None:
    choice(
        answer,
        "c",
        {
            "a": "temperature never changes the order: dividing all logits by the same positive number keeps the "
            "largest the largest.",
            "b": "it rescales the logits, and that changes the probabilities: at T = 2 they become proportional to "
            "the square roots.",
            "c": "at T = 2 the weights are the square roots, 0.95 to 0.28: about one draw in five is now the right "
            "word, and the "
            "wrong one is still ahead.",
            "d": "dividing a logit lowers the favourite's lead but not below the others; it stays the likeliest draw.",
        },
    )


@quiet()
def surprisals(student: Callable, seed: int = 0) -> None:
    draw = generator(seed)
    sure = torch.full((4, 5), -20.0, dtype=torch.float64)
    ids = torch.tensor([0, 3, 1, 4])
    sure[torch.arange(3), ids[1:]] = 20.0  # each place is sure of the token that follows
    cases = [
        (sure, ids),
        (torch.randn(6, 9, generator=draw, dtype=torch.float64) * 2, torch.tensor([4, 1, 7, 1, 8, 2])),
    ]
    two = math.log(2)
    rows = [-logits.log_softmax(-1) / two for logits, _ in cases]
    right = [row[:-1].gather(1, text[1:, None])[:, 0] for row, (_, text) in zip(rows, cases, strict=True)]
    late = [row.gather(1, text[:, None])[:, 0] for row, (_, text) in zip(rows, cases, strict=True)]
    back = [row[1:].gather(1, text[:-1, None])[:, 0] for row, (_, text) in zip(rows, cases, strict=True)]
    judge_all(
        [call(student, *case) for case in cases],
        right,
        {
            "The bug is still there: row i is compared with token i, which it has just read. Row i predicts token "
            "i + 1.": late,
            "The bug is still there, with the first place dropped: row i is compared with token i.": [
                x[1:] for x in late
            ],
            "The bug is still there, with the last place dropped: row i is compared with token i.": [
                x[:-1] for x in late
            ],
            "That is the code as it was: wrong rows, and in nats.": [x * two for x in late],
            "The wrong way: row i + 1 is compared with token i, which it has read before.": back,
            "The rows are right now, but the unit is still nats: `log_softmax` is to the base of e. Divide by the "
            "natural "
            "logarithm of 2.": [x * two for x in right],
            "The rows are right, but you multiplied by the natural logarithm of 2. Divide by it: a bit is smaller "
            "than a "
            "nat.": [x * two**2 for x in right],
            "The sign is missing: surprisals are never negative.": [-x for x in right],
            "You returned one number, the mean. Each token but the first has a surprisal.": [x.mean() for x in right],
            "You returned the sum over the text. Each token but the first has a surprisal of its own.": [
                x.sum() for x in right
            ],
            "You returned probabilities. Take their logarithm to the base of two, with the sign turned.": [
                (-x * two).exp() for x in right
            ],
        },
        names=["the surprisals of a text that the model knows by heart", "the surprisals of a random text"],
    )
    expect_tensor(call(student, *cases[1]), (5,), "the surprisals of six tokens")
    passed("row i predicts token i + 1: a text known by heart costs nothing")
