"""Checks of chapter 01: heads split and mixed, attention weights, keys caught by a hook, heads named, weighted norms.

Each check tries cases worked by hand in the chapter and others drawn from the seed, and names a mistake that explains
the answers to all of them.
"""

from collections.abc import Callable

import torch

from classroom.checks import Mistake, call, choice, judge, judge_all, passed, quiet
from classroom.checks.start_here import small_gpt2


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rows(seed: int, *shape: int) -> torch.Tensor:
    """Causal weights (..., query, key) that differ from row to row."""
    scores = drawn(seed, *shape)
    later = torch.ones(shape[-2:]).triu(1).bool()
    return scores.masked_fill(later, -torch.inf).softmax(-1)


@quiet()
def split_heads(student: Callable, seed: int = 0) -> None:
    by_hand = torch.arange(1.0, 9.0).view(2, 4)
    cases = [(by_hand, 2), (drawn(seed, 6, 12), 3), (drawn(seed, 4, 4), 4)]
    shapes = [(len(x), heads, x.shape[1] // heads) for x, heads in cases]
    inputs = list(zip(cases, shapes, strict=True))
    judge_all(
        [call(student, *case) for case in cases],
        [x.view(shape).transpose(0, 1) for (x, _), shape in inputs],
        {
            "You cut straight into (head, seq, dim). That gives the first head the first part of the text; cut the "
            "last "
            "axis only, then swap the axes.": [x.view(shape[1], shape[0], shape[2]) for (x, _), shape in inputs],
            "The heads are still inside: the shape is (seq, head, dim). Bring the heads to the front.": [
                x.view(shape) for (x, _), shape in inputs
            ],
            "Each head got every so-many-th number instead of a block of neighbours: (seq, dim, head) was cut, not "
            "(seq, head, dim).": [x.view(shape[0], shape[2], shape[1]).permute(2, 0, 1) for (x, _), shape in inputs],
            "The axes are in the order (head, dim, seq). The tokens come before the numbers of each.": [
                x.view(shape).permute(1, 2, 0) for (x, _), shape in inputs
            ],
            "You cut into `heads` numbers a head. There are `heads` heads, each with width / heads numbers.": [
                x.view(shape[0], shape[2], shape[1]).transpose(0, 1) for (x, _), shape in inputs
            ],
            "Nothing was cut: every head got the whole vector.": [x.expand(heads, *x.shape) for x, heads in cases],
        },
        names=["the heads of (1, 2, 3, 4) and (5, 6, 7, 8)", "three heads of six tokens", "four heads of one number"],
    )
    passed("each head has its own block of every token's vector: (head, seq, dim)")


def _weights(q: torch.Tensor, k: torch.Tensor, root: float = 0.5, mask: bool = True, axis: int = -1) -> torch.Tensor:
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** root
    later = torch.ones(scores.shape[-2:]).triu(1).bool()
    return (scores.masked_fill(later, -torch.inf) if mask else scores).softmax(axis)


@quiet()
def attention_weights(student: Callable, seed: int = 0) -> None:
    key = torch.eye(3, 4, dtype=torch.float64)[None]
    by_hand = torch.tensor([[[1.0, 5.0, 3.0, 0.0], [2.0, 2.0, 9.0, 0.0], [2.0, 0.0, 4.0, 0.0]]], dtype=torch.float64)
    cases = [(by_hand, key), (drawn(seed, 3, 5, 4) * 2, drawn(seed + 1, 3, 5, 4) * 2)]
    scores = [q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 for q, k in cases]
    later = [torch.ones(s.shape[-2:]).triu(1).bool() for s in scores]
    values = [call(student, q, k) for q, k in cases]
    first = values[0]
    if isinstance(first, torch.Tensor) and first.shape == (1, 3, 3) and first[0, 0].isnan().all():
        raise Mistake(
            "The first row is NaN: the mask forbids the diagonal too, so the first token may see nothing at all. A "
            "token "
            "may see itself; mask above the diagonal only, triu(1)."
        )
    if isinstance(first, torch.Tensor) and first.shape == (1, 3, 3) and first[0, -1].isnan().all():
        raise Mistake(
            "The last row is NaN: the mask forbids the token itself and all before it. It has to forbid what comes "
            "after: above the diagonal, triu(1)."
        )
    judge_all(
        values,
        [_weights(q, k) for q, k in cases],
        {
            "The causal mask is missing: tokens look at later ones.": [_weights(q, k, mask=False) for q, k in cases],
            "The mask came after the softmax: rows don't sum to one, and what is left still depends on later words. "
            "Set the "
            "scores to minus infinity before the softmax.": [
                _weights(q, k, mask=False).masked_fill(m, 0) for (q, k), m in zip(cases, later, strict=True)
            ],
            "Masked scores were set to 0, not to minus infinity: exp(0) is 1, so later words still get a share.": [
                s.masked_fill(m, 0).softmax(-1) for s, m in zip(scores, later, strict=True)
            ],
            "These are the scores: the softmax over the keys is missing.": [
                s.masked_fill(m, -torch.inf) for s, m in zip(scores, later, strict=True)
            ],
            "You divided by the root after the softmax, so the rows don't sum to one. Divide the dot products.": [
                _weights(q, k, root=0) / q.shape[-1] ** 0.5 for q, k in cases
            ],
            "The division by the root of the dimension is missing.": [_weights(q, k, root=0) for q, k in cases],
            "You divided by the dimension, not by its root.": [_weights(q, k, root=1) for q, k in cases],
            "The softmax went over the queries: the columns sum to one. Take it over the keys, the last axis.": [
                _weights(q, k, axis=-2) for q, k in cases
            ],
            "The softmax went over the heads. Take it over the keys, the last axis.": [
                _weights(q, k, axis=0).nan_to_num(0) for q, k in cases
            ],
            "Queries and keys are swapped: row i must hold query i.": [_weights(k, q) for q, k in cases],
            "The mask is the wrong way round: tokens look at later ones only.": [
                s.masked_fill(m.T, -torch.inf).softmax(-1) for s, m in zip(scores, later, strict=True)
            ],
            "You divided by the root of the number of tokens. It is the root of the head's dimension.": [
                (q @ k.transpose(-1, -2) / q.shape[1] ** 0.5).masked_fill(m, -torch.inf).softmax(-1)
                for (q, k), m in zip(cases, later, strict=True)
            ],
            "The result is transposed: (head, key, query).": [_weights(q, k).transpose(-1, -2) for q, k in cases],
        },
        names=["the weights of the chapter's example", "the weights of three random heads"],
    )
    passed("rows sum to one, nobody sees the future, and random heads get softmax(q·k / √d)")


def root(answer, seed: int = 0) -> None:
    choice(
        answer,
        "b",
        {
            "a": "the softmax sees to that, whatever it is given.",
            "b": "a sum of d products of ordinary numbers has a spread of about √d. Undivided, the largest would "
            "win nearly "
            "everything, and learning would stand still, since a softmax that is saturated has hardly any gradient.",
            "c": "minus infinity stays minus infinity, divided or not.",
            "d": "the softmax undoes a common *summand*, not a common factor: a factor is a temperature.",
        },
    )


@quiet()
def mix(student: Callable, seed: int = 0) -> None:
    eye = torch.eye(4, dtype=torch.float64)
    hand = torch.tensor([[[1.0, 0.0], [0.25, 0.75]], [[1.0, 0.0], [0.5, 0.5]]], dtype=torch.float64)
    carried = torch.tensor([[[4.0, 0.0], [0.0, 4.0]], [[2.0, 2.0], [2.0, 2.0]]], dtype=torch.float64)
    cases = [
        (hand, carried, eye, torch.zeros(4, dtype=torch.float64)),
        (rows(seed, 3, 5, 5), drawn(seed, 3, 5, 2), drawn(seed + 1, 6, 6), drawn(seed + 2, 6)),
    ]

    def out(weights, values, matrix, bias, layout=lambda x: x.transpose(0, 1).reshape(x.shape[1], -1)):
        return layout(weights @ values) @ matrix + bias

    judge_all(
        [call(student, *case) for case in cases],
        [out(*case) for case in cases],
        {
            "The heads were laid into each other: you reshaped (head, query, dim) without swapping the axes first, "
            "so a row "
            "holds parts of several tokens.": [out(*c, layout=lambda x: x.reshape(x.shape[1], -1)) for c in cases],
            "The numbers of the heads alternate. First all numbers of head 0, then all of head 1.": [
                out(*c, layout=lambda x: x.permute(1, 2, 0).reshape(x.shape[1], -1)) for c in cases
            ],
            "The bias was added once for each head. It belongs to the matrix, and is added once.": [
                out(w, v, m, b * len(w)) for w, v, m, b in cases
            ],
            "The bias is missing.": [out(w, v, m, torch.zeros_like(b)) for w, v, m, b in cases],
            "The output matrix is missing: the mixed values were returned as they are.": [
                out(w, v, torch.eye(len(m), dtype=m.dtype), b * 0) for w, v, m, b in cases
            ],
            "The output matrix was transposed. GPT-2 keeps it as (in, out): multiply from the right, as it is.": [
                out(w, v, m.T, b) for w, v, m, b in cases
            ],
            "The weights were transposed: row i holds what token i looks at.": [
                out(w.transpose(1, 2), v, m, b) for w, v, m, b in cases
            ],
            "The values were not mixed: the weights are not used.": [
                out(torch.eye(v.shape[1], dtype=v.dtype).expand(len(v), -1, -1), v, m, b) for w, v, m, b in cases
            ],
            "The heads were averaged before the matrix. Each writes with its own part of it.": [
                (w @ v).mean(0).repeat(1, len(w)) @ m + b for w, v, m, b in cases
            ],
        },
        names=["what the two heads of the example add", "what three random heads add"],
    )
    passed("each head's mixture beside the others, through the output matrix into the stream")


@quiet()
def capture_keys(student: Callable, seed: int = 0) -> None:
    model = small_gpt2(seed, layers=3)
    ids = torch.randint(0, 29, (1, 5), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():  # transformers leaves hooks of its own when it is asked for these
        model(ids, output_hidden_states=True, output_attentions=True)
    before, caught = _hooks(model), {}
    handles = [
        block.attn.c_attn.register_forward_hook(lambda module, args, out, n=number: caught.update({n: out[0].detach()}))
        for number, block in enumerate(model.transformer.h)
    ]
    with torch.no_grad():
        model(ids)
    for handle in handles:
        handle.remove()
    for layer in (0, 2, 1):
        query, key, value = caught[layer].chunk(3, -1)
        others = {n: together.chunk(3, -1)[1] for n, together in caught.items() if n != layer}
        judge(
            call(student, model, ids, layer),
            key,
            {
                "These are the queries: the first third. The keys are the second.": query,
                "These are the values: the last third. The keys are the second.": value,
                "These are queries, keys and values side by side. Take the second of three equal parts.": caught[layer],
                "The batch's axis is still there: return (seq, width).": key[None],
                "You took every third number. The three are blocks side by side, not woven into each other.": caught[
                    layer
                ][:, 1::3],
                "You took the keys of another layer.": next(iter(others.values())),
                "You took the keys of another layer. (Counting begins at 0.)": list(others.values())[-1],
            },
            name=f"the keys of layer {layer}",
        )
        _no_hooks_left(model, before)

    def interrupted(module, args):
        raise RuntimeError("the model stopped")

    handle = model.lm_head.register_forward_pre_hook(interrupted)
    try:
        student(model, ids, 0)
    except Exception as error:
        if "the model stopped" not in str(error):
            raise Mistake(
                f"When the model stops with an error, your function hides it and raises {type(error).__name__}."
            ) from None
    finally:
        handle.remove()
    _no_hooks_left(model, before, " when the model stopped with an error: put `handle.remove()` under `finally:`")
    passed("the keys of each layer, and no hook stays on the model")


def _hooks(model) -> dict[str, int]:
    return {name: len(part._forward_hooks) + len(part._forward_pre_hooks) for name, part in model.named_modules()}


def _no_hooks_left(model, before: dict[str, int], when: str = ": remove each handle") -> None:
    left = [name for name, number in _hooks(model).items() if number > before[name]]
    if left:
        raise Mistake(f"A hook was left behind on {left[0]}{when}.")


def map(answer, seed: int = 0) -> None:
    choice(
        answer,
        "b",
        {
            "a": "the other way round: a row looks, a column is looked at, and *John* comes first, so it could "
            "not look at *gave*.",
            "b": "the row is the query, which looks; its mixture of values goes into the stream of *gave*.",
            "c": "queries and keys come from different matrices: a word may look at one that is nothing like it.",
            "d": "a prediction comes from the top of the stream, at the last token; one head at one place "
            "predicts nothing by "
            "itself.",
        },
    )


@quiet()
def previous_token(student: Callable, seed: int = 0) -> None:
    hand = torch.tensor([[[1.0, 0.0, 0.0], [0.8, 0.2, 0.0], [0.1, 0.6, 0.3]]], dtype=torch.float64)
    cases = [hand, rows(seed, 4, 6, 6)]
    below = [w.diagonal(-1, dim1=1, dim2=2) for w in cases]
    judge_all(
        [call(student, w) for w in cases],
        [b.mean(-1) for b in below],
        {
            "These are the weights on the token itself, the diagonal. The token before lies one below it.": [
                w.diagonal(0, dim1=1, dim2=2).mean(-1) for w in cases
            ],
            "All zero: that is one above the diagonal, where the mask forbids everything. One below has the offset "
            "-1.": [w.diagonal(1, dim1=1, dim2=2).mean(-1) for w in cases],
            "You divided by the number of all tokens. The first has none before it and is left out.": [
                b.sum(-1) / w.shape[-1] for b, w in zip(below, cases, strict=True)
            ],
            "That is the sum, not the mean.": [b.sum(-1) for b in below],
            "You took one number over all heads. Each head has a score of its own.": [b.mean() for b in below],
            "You took the mean over the heads: one number for each token. Take it over the tokens.": [
                b.mean(0) for b in below
            ],
            "These are the weights on the first token, column 0.": [w[:, 1:, 0].mean(-1) for w in cases],
            "That is the largest weight on a token before, not the mean.": [b.amax(-1) for b in below],
        },
        names=["the score of the example's head", "the scores of four random heads"],
    )
    passed("the mean weight one below the diagonal, for each head")


def _looks(weights: torch.Tensor, ids: torch.Tensor, shift: int = 1, first: bool = False) -> torch.Tensor:
    seen: dict[int, int] = {}
    found = []
    for place, number in enumerate(ids.tolist()):
        if number in seen:
            found.append(weights[:, place, seen[number] + shift])
        if not (first and number in seen):
            seen[number] = place
    return torch.stack(found, -1)  # (head, found)


@quiet()
def induction(student: Callable, seed: int = 0) -> None:
    hand = torch.zeros(1, 5, 5, dtype=torch.float64)
    hand[0, 3, 1], hand[0, 3, 0], hand[0, 4, 2], hand[0, 4, 1] = 0.9, 0.1, 0.7, 0.3
    hand[0, [0, 1, 2], [0, 1, 2]] = 1.0
    cases = [
        (hand, torch.tensor([11, 12, 13, 11, 12])),
        (rows(seed, 3, 9, 9), torch.tensor([4, 7, 7, 2, 4, 9, 7, 4, 4])),
        (rows(seed + 1, 2, 7, 7), torch.tensor([1, 2, 3, 1, 2, 3, 1])),
    ]
    judge_all(
        [call(student, *case) for case in cases],
        [_looks(*case).mean(-1) for case in cases],
        {
            "You read the weight on the earlier occurrence itself. An induction head looks at the place after it.": [
                _looks(*case, shift=0).mean(-1) for case in cases
            ],
            "You read the weight on the place before the earlier occurrence. An induction head looks at the one "
            "after it.": [_looks(*case, shift=-1).mean(-1) for case in cases],
            "You took every earlier occurrence. For each place only the last one before it counts.": [
                torch.stack([w[:, i, j + 1] for i in range(len(t)) for j in range(i) if t[i] == t[j]], -1).mean(-1)
                for w, t in cases
            ],
            "You took the first earlier occurrence. It is the last one before the place.": [
                _looks(*case, first=True).mean(-1) for case in cases
            ],
            "You divided by the number of all tokens. Those that were never seen before are left out.": [
                _looks(w, i).sum(-1) / len(i) for w, i in cases
            ],
            "That is the sum, not the mean.": [_looks(*case).sum(-1) for case in cases],
            "You took one number over all heads. Each head has a score of its own.": [
                _looks(*case).mean() for case in cases
            ],
            "You read a column for a row: weights[:, query, key], where the query is the later place.": [
                _looks(w.transpose(1, 2), i).mean(-1) for w, i in cases
            ],
            "That is the largest weight, not the mean.": [_looks(*case).amax(-1) for case in cases],
        },
        names=["the score of the example a b c a b", "the scores on 4 7 7 2 4 9 7 4 4", "the scores on 1 2 3 1 2 3 1"],
    )
    passed("the mean weight on what followed the last time, for each head")


@quiet()
def weighted_norms(student: Callable, seed: int = 0) -> None:
    hand = (
        torch.tensor([[[1.0, 0.0], [0.9, 0.1]]], dtype=torch.float64),
        torch.tensor([[[0.1, 0.0], [0.0, 3.0]]], dtype=torch.float64),
        torch.eye(2, dtype=torch.float64),
    )
    cases = [hand, (rows(seed, 3, 5, 5), drawn(seed, 3, 5, 2), drawn(seed + 1, 6, 6))]

    def norms(weights, values, matrix, order: float = 2, lengths_of_queries: bool = False):
        written = values @ matrix.view(len(values), values.shape[-1], -1)
        length = written.norm(p=order, dim=-1)
        return weights * (length[:, :, None] if lengths_of_queries else length[:, None, :])

    judge_all(
        [call(student, *case) for case in cases],
        [norms(*case) for case in cases],
        {
            "The output matrix is missing: these are the lengths of the values before they are written into the "
            "stream.": [w * v.norm(dim=-1)[:, None, :] for w, v, _ in cases],
            "The weights are missing: these are the lengths alone.": [
                norms(torch.ones_like(w), v, m) for w, v, m in cases
            ],
            "The lengths went to the queries. They belong to the keys: put the axis for the query before them, "
            "[:, None, :].": [norms(*case, lengths_of_queries=True) for case in cases],
            "The output matrix was transposed before it was cut: a head's part is its rows.": [
                norms(w, v, m.T.contiguous()) for w, v, m in cases
            ],
            "Every head used the first head's part of the output matrix.": [
                norms(w, v, m[: v.shape[-1]].repeat(len(v), 1)) for w, v, m in cases
            ],
            "The heads were added up. Return one matrix for each head.": [norms(*case).sum(0) for case in cases],
            "You took the squares of the lengths. Take the root.": [
                w * (norms(torch.ones_like(w), v, m)) ** 2 for w, v, m in cases
            ],
            "You added up absolute entries (norm of order 1). A length is the root of the sum of squares.": [
                norms(*case, order=1) for case in cases
            ],
            "You divided each row by its sum. Return the lengths as they are.": [
                norms(*case) / norms(*case).sum(-1, keepdim=True) for case in cases
            ],
        },
        names=["the norms of the example", "the norms of three random heads"],
    )
    passed("each head's weight times the length of what it would write: 0.09 and 0.3 in the example")


def sink(answer, seed: int = 0) -> None:
    choice(
        answer,
        "c",
        {
            "a": "the start token comes first and may look at nobody, so it knows nothing of the sentence.",
            "b": "unsure would be many small weights, not one large one; and the model's answers are sure enough.",
            "c": "the softmax must give one whole away. A token whose value is short is a good place to leave "
            "it, and that is "
            "what the norms show.",
            "d": "the mask forbids later tokens only; all earlier ones are open to a head.",
        },
    )


@quiet()
def nearest(student: Callable, seed: int = 0) -> None:
    hand = (
        torch.tensor([1.0, 0.0], dtype=torch.float64),
        torch.tensor([[10.0, 10.0], [2.0, 0.1], [-1.0, 0.0]], dtype=torch.float64),
        2,
    )
    corpus = drawn(seed, 12, 5) * torch.linspace(0.2, 9, 12, dtype=torch.float64)[:, None]
    cases = [hand, (drawn(seed + 1, 5) * 3, corpus, 4), (drawn(seed + 2, 5), corpus.flip(0), 12)]
    cosines = [c @ v / (c.norm(dim=-1) * v.norm()) for v, c, _ in cases]
    sized = list(zip(cases, cosines, strict=True))
    judge_all(
        [call(student, *case) for case in cases],
        [x.topk(k).indices for (_, _, k), x in sized],
        {
            "You compared by the dot product: long vectors win. Divide by the lengths of the corpus's rows.": [
                (c @ v).topk(k).indices for v, c, k in cases
            ],
            "You compared by distance. The cosine compares directions, whatever the lengths.": [
                (c - v).norm(dim=-1).topk(k, largest=False).indices for v, c, k in cases
            ],
            "These are the least similar. Sort with the largest cosine first.": [
                x.topk(k, largest=False).indices for (_, _, k), x in sized
            ],
            "These are the cosines. Return the places of the rows.": [x.topk(k).values for (_, _, k), x in sized],
            "You returned the cosines and the places. Return the places alone, `.indices`.": [
                torch.stack([x.topk(k).values, x.topk(k).indices.to(x.dtype)]) for (_, _, k), x in sized
            ],
            "The right rows, the most similar last. It comes first.": [
                x.topk(k).indices.flip(0) for (_, _, k), x in sized
            ],
            "The right rows, in the order of the corpus. The most similar comes first.": [
                x.topk(k).indices.sort().values for (_, _, k), x in sized
            ],
            "You compared by the size of the cosine: the opposite direction counts as similar.": [
                x.abs().topk(k).indices for (_, _, k), x in sized
            ],
        },
        names=["the nearest of the example", "the four nearest of twelve", "twelve of twelve"],
    )
    passed("the rows that point the same way come first, however long they are")
