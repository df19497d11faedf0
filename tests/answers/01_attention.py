"""Chapter 01: answers that students give. Each wrong one names the words that must stand in the message it gets."""

import torch
from tests.answers import Exercise

from classroom.checks import attention as check

# --- split_heads ------------------------------------------------------------------------------------------------------


def split(x, heads):
    return x.view(len(x), heads, -1).transpose(0, 1)


SPLIT = Exercise(
    check=check.split_heads,
    right=[split, lambda x, heads: torch.stack(x.chunk(heads, dim=-1))],
    wrong=[
        ("straight", lambda x, h: x.view(h, len(x), -1), "straight into"),
        ("not transposed", lambda x, h: x.view(len(x), h, -1), "still inside"),
        ("woven", lambda x, h: x.view(len(x), -1, h).permute(2, 0, 1), "every so-many-th"),
        ("dim before seq", lambda x, h: split(x, h).transpose(1, 2), "(head, dim, seq)"),
        ("heads numbers", lambda x, h: x.view(len(x), -1, h).transpose(0, 1), "`heads` numbers a head"),
        ("not cut", lambda x, h: torch.stack([x] * h), "Nothing was cut"),
    ],
)

# --- attention_weights ------------------------------------------------------------------------------------------------


def scores(q, k):
    return q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5


def later(q, diagonal=1):
    return torch.ones(q.shape[1], q.shape[1]).triu(diagonal).bool()


def look(q, k):
    return scores(q, k).masked_fill(later(q), -torch.inf).softmax(-1)


def look_in_loops(q, k):
    weights = torch.zeros(len(q), q.shape[1], q.shape[1], dtype=q.dtype)
    for head in range(len(q)):
        for i in range(q.shape[1]):
            row = torch.stack([q[head, i] @ k[head, j] for j in range(i + 1)]) / q.shape[-1] ** 0.5
            grown = (row - row.max()).exp()
            weights[head, i, : i + 1] = grown / grown.sum()
    return weights


def look_by_pytorch(q, k):
    eye = torch.eye(q.shape[1], dtype=q.dtype).expand(len(q), -1, -1)
    return torch.nn.functional.scaled_dot_product_attention(q, k, eye, is_causal=True)


WEIGHTS = Exercise(
    check=check.attention_weights,
    right=[look, look_in_loops, look_by_pytorch],
    wrong=[
        (
            "no softmax",
            lambda q, k: scores(q, k).masked_fill(later(q), -torch.inf),
            "the softmax over the keys is missing",
        ),
        (
            "root after",
            lambda q, k: look(q * q.shape[-1] ** 0.5, k) / q.shape[-1] ** 0.5,
            "by the root after the softmax",
        ),
        (
            "sees itself no more",
            lambda q, k: scores(q, k).masked_fill(~later(q), -torch.inf).softmax(-1),
            "The last row is NaN",
        ),
        ("no mask", lambda q, k: scores(q, k).softmax(-1), "The causal mask is missing"),
        ("mask after", lambda q, k: scores(q, k).softmax(-1).tril(), "after the softmax"),
        ("mask by zero", lambda q, k: scores(q, k).tril().softmax(-1), "set to 0"),
        ("no root", lambda q, k: look(q * q.shape[-1] ** 0.5, k), "root of the dimension is missing"),
        ("dimension", lambda q, k: look(q / q.shape[-1] ** 0.5, k), "by the dimension, not by its root"),
        ("over queries", lambda q, k: scores(q, k).masked_fill(later(q), -torch.inf).softmax(1), "over the queries"),
        ("swapped", lambda q, k: look(k, q), "Queries and keys are swapped"),
        ("future only", lambda q, k: scores(q, k).masked_fill(later(q).T, -torch.inf).softmax(-1), "wrong way round"),
        ("diagonal masked", lambda q, k: scores(q, k).masked_fill(later(q, 0), -torch.inf).softmax(-1), "is NaN"),
        ("root of seq", lambda q, k: look(q * (q.shape[-1] / q.shape[1]) ** 0.5, k), "number of tokens"),
        ("transposed", lambda q, k: look(q, k).transpose(1, 2), "The result is transposed"),
    ],
)

# --- mix --------------------------------------------------------------------------------------------------------------


def mix(w, v, m, b):
    return (w @ v).transpose(0, 1).flatten(1) @ m + b


def mix_head_by_head(w, v, m, b):
    return sum(head @ value @ part for head, value, part in zip(w, v, m.chunk(len(w)), strict=True)) + b


def side(mixed):
    return mixed.transpose(0, 1).flatten(1)


MIX = Exercise(
    check=check.mix,
    right=[mix, mix_head_by_head],
    wrong=[
        ("bias for each head", lambda w, v, m, b: mix(w, v, m, b * len(w)), "once for each head"),
        ("no transpose", lambda w, v, m, b: (w @ v).reshape(w.shape[1], -1) @ m + b, "laid into each other"),
        ("alternating", lambda w, v, m, b: (w @ v).permute(1, 2, 0).flatten(1) @ m + b, "alternate"),
        ("no bias", lambda w, v, m, b: mix(w, v, m, 0), "The bias is missing"),
        ("no matrix", lambda w, v, m, b: side(w @ v), "The output matrix is missing"),
        ("matrix transposed", lambda w, v, m, b: mix(w, v, m.T, b), "The output matrix was transposed"),
        ("weights transposed", lambda w, v, m, b: mix(w.transpose(1, 2), v, m, b), "The weights were transposed"),
        ("not mixed", lambda w, v, m, b: side(v) @ m + b, "were not mixed"),
        ("averaged", lambda w, v, m, b: (w @ v).mean(0).repeat(1, len(w)) @ m + b, "were averaged"),
    ],
)

# --- capture_keys -----------------------------------------------------------------------------------------------------


def catch(model, ids, layer, remove=True):
    caught = {}
    module = model.transformer.h[layer].attn.c_attn
    handle = module.register_forward_hook(lambda module, args, out: caught.update(out=out))
    try:
        with torch.no_grad():
            model(ids)
    finally:
        if remove:
            handle.remove()
    return caught["out"][0]


def keys(model, ids, layer):
    return catch(model, ids, layer).chunk(3, -1)[1]


def keys_without_a_hook(model, ids, layer):
    with torch.no_grad():
        block = model.transformer.h[layer]
        stream = model(ids, output_hidden_states=True).hidden_states[layer]
        return block.attn.c_attn(block.ln_1(stream))[0].split(stream.shape[-1], dim=-1)[1]


def as_it_was(model, ids, layer):
    caught = []
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and f"h.{layer}.attn" in name:
            module.register_forward_hook(lambda module, args, out: caught.append(out))
    with torch.no_grad():
        model(ids)
    return caught[0][0]


def removed_at_the_end(model, ids, layer):
    caught = []
    handle = model.transformer.h[layer].attn.c_attn.register_forward_hook(lambda m, a, out: caught.append(out))
    with torch.no_grad():
        model(ids)
    handle.remove()
    return caught[0][0].chunk(3, -1)[1]


KEYS = Exercise(
    check=check.capture_keys,
    right=[keys, keys_without_a_hook],
    wrong=[
        ("as it was", as_it_was, "IndexError"),
        ("queries", lambda m, i, n: catch(m, i, n).chunk(3, -1)[0], "These are the queries"),
        ("values", lambda m, i, n: catch(m, i, n).chunk(3, -1)[2], "These are the values"),
        ("all three", catch, "side by side"),
        ("every third", lambda m, i, n: catch(m, i, n)[:, 1::3], "every third number"),
        ("batch kept", lambda m, i, n: keys(m, i, n)[None], "batch's axis"),
        ("next layer", lambda m, i, n: keys(m, i, (n + 1) % 3), "another layer"),
        ("hook stays", lambda m, i, n: catch(m, i, n, remove=False).chunk(3, -1)[1], "left behind on"),
        ("removed at the end", removed_at_the_end, "under `finally:`"),
    ],
)

# --- previous_token ---------------------------------------------------------------------------------------------------


def before(w):
    return torch.stack([w[:, i, i - 1] for i in range(1, w.shape[1])], -1)


PREVIOUS = Exercise(
    check=check.previous_token,
    right=[lambda w: before(w).mean(-1), lambda w: w[:, 1:, :-1].diagonal(dim1=1, dim2=2).mean(-1)],
    wrong=[
        ("itself", lambda w: w.diagonal(dim1=1, dim2=2).mean(-1), "token itself"),
        ("above", lambda w: w.diagonal(1, dim1=1, dim2=2).mean(-1), "All zero"),
        ("all tokens", lambda w: before(w).sum(-1) / w.shape[1], "number of all tokens"),
        ("sum", lambda w: before(w).sum(-1), "That is the sum"),
        ("one number", lambda w: before(w).mean(), "one number over all heads"),
        ("over heads", lambda w: before(w).mean(0), "mean over the heads"),
        ("first column", lambda w: w[:, 1:, 0].mean(-1), "first token, column 0"),
        ("largest", lambda w: before(w).amax(-1), "largest weight"),
    ],
)

# --- induction --------------------------------------------------------------------------------------------------------


def looks(w, ids, shift=1, pick=max):
    found = []
    for i in range(len(ids)):
        earlier = [j for j in range(i) if ids[j] == ids[i]]
        if earlier:
            found.append(w[:, i, pick(earlier) + shift])
    return torch.stack(found)


def by_matrix(w, ids):
    same = (ids[:, None] == ids[None, :]).tril(-1)
    last = same & (same.flip(1).cumsum(1).flip(1) == 1)
    asked = last.any(1).nonzero()[:, 0]
    return w[:, asked, last[asked].int().argmax(1) + 1].mean(-1)


def every_earlier(w, ids):
    return torch.stack([w[:, i, j + 1] for i in range(len(ids)) for j in range(i) if ids[i] == ids[j]]).mean(0)


INDUCTION = Exercise(
    check=check.induction,
    right=[lambda w, i: looks(w, i).mean(0), by_matrix],
    wrong=[
        ("the place before", lambda w, i: looks(w, i, shift=-1).mean(0), "the place before the earlier occurrence"),
        ("every one", every_earlier, "every earlier occurrence"),
        ("the occurrence", lambda w, i: looks(w, i, shift=0).mean(0), "earlier occurrence itself"),
        ("the first one", lambda w, i: looks(w, i, pick=min).mean(0), "the first earlier occurrence"),
        ("all tokens", lambda w, i: looks(w, i).sum(0) / len(i), "number of all tokens"),
        ("sum", lambda w, i: looks(w, i).sum(0), "That is the sum"),
        ("one number", lambda w, i: looks(w, i).mean(), "one number over all heads"),
        ("column for row", lambda w, i: looks(w.transpose(1, 2), i).mean(0), "a column for a row"),
        ("largest", lambda w, i: looks(w, i).amax(0), "largest weight"),
    ],
)

# --- weighted_norms ---------------------------------------------------------------------------------------------------


def lengths(v, m):
    return torch.stack([(value @ part).norm(dim=-1) for value, part in zip(v, m.chunk(len(v)), strict=True)])


def norms(w, v, m):
    return w * lengths(v, m)[:, None, :]


def norms_of_vectors(w, v, m):
    parts = m.view(len(v), v.shape[-1], -1)
    return torch.einsum("hqk,hkd,hdw->hqkw", w, v, parts).norm(dim=-1)


NORMS = Exercise(
    check=check.weighted_norms,
    right=[norms, norms_of_vectors],
    wrong=[
        ("no matrix", lambda w, v, m: w * v.norm(dim=-1)[:, None, :], "The output matrix is missing"),
        ("no weights", lambda w, v, m: lengths(v, m)[:, None, :].expand_as(w), "The weights are missing"),
        ("queries' lengths", lambda w, v, m: w * lengths(v, m)[:, :, None], "went to the queries"),
        ("transposed", lambda w, v, m: norms(w, v, m.T), "was transposed before"),
        ("first part", lambda w, v, m: norms(w, v, m[: v.shape[-1]].repeat(len(v), 1)), "first head's part"),
        ("heads added", lambda w, v, m: norms(w, v, m).sum(0), "were added up"),
        ("squares", lambda w, v, m: w * lengths(v, m)[:, None, :] ** 2, "squares of the lengths"),
        ("shares", lambda w, v, m: norms(w, v, m) / norms(w, v, m).sum(-1, keepdim=True), "divided each row"),
    ],
)

# --- nearest ----------------------------------------------------------------------------------------------------------


def cosine(v, c):
    return torch.nn.functional.cosine_similarity(c, v[None], dim=-1)


def nearest_sorted(v, c, k):
    return sorted(range(len(c)), key=lambda row: -float(cosine(v, c)[row]))[:k]


NEAREST = Exercise(
    check=check.nearest,
    right=[lambda v, c, k: cosine(v, c).topk(k).indices, nearest_sorted],
    wrong=[
        ("cosines and places", lambda v, c, k: tuple(cosine(v, c).topk(k)), "the cosines and the places"),
        ("dot product", lambda v, c, k: (c @ v).topk(k).indices, "by the dot product"),
        ("distance", lambda v, c, k: (c - v).norm(dim=-1).argsort()[:k], "by distance"),
        ("least", lambda v, c, k: cosine(v, c).argsort()[:k], "least similar"),
        ("values", lambda v, c, k: cosine(v, c).topk(k).values, "These are the cosines"),
        ("last first", lambda v, c, k: cosine(v, c).topk(k).indices.flip(0), "the most similar last"),
        (
            "order of the corpus",
            lambda v, c, k: cosine(v, c).topk(k).indices.sort().values,
            "in the order of the corpus",
        ),
        ("size", lambda v, c, k: cosine(v, c).abs().topk(k).indices, "size of the cosine"),
    ],
)

EXERCISES = {
    exercise.check.__name__: exercise for exercise in (SPLIT, WEIGHTS, MIX, KEYS, PREVIOUS, INDUCTION, NORMS, NEAREST)
}
