"""Chapter 02: answers that students give. Each wrong one names the words that must stand in the message it gets."""

import networkx as nx
import numpy as np
import torch
from scipy.optimize import linprog
from tests.answers import Exercise

from classroom.checks import rollout as check


def fuse(attention, how):
    return {"mean": attention.mean, "max": attention.amax, "min": attention.amin}[how](0)


def mix(fused, residual_weight=0.5):
    mixed = (1 - residual_weight) * fused + residual_weight * torch.eye(len(fused), dtype=fused.dtype)
    return mixed / mixed.sum(-1, keepdim=True)


def roll(attentions, residual_weight=0.5, fuse_by="mean"):
    flow = torch.eye(attentions[0].shape[-1], dtype=attentions[0].dtype)
    for layer in attentions:
        flow = mix(fuse(layer, fuse_by), residual_weight) @ flow
    return flow


def uniform(seq):
    ones = torch.ones(seq, seq).tril()
    return (ones / ones.sum(-1, keepdim=True))[None]


# --- fuse_heads -------------------------------------------------------------------------------------------------------


def fuse_with_einops_in_mind(attention, how):
    stacked = np.stack([np.asarray(head) for head in attention])
    return getattr(np, how)(stacked, axis=0)


def fuse_by_branches(attention, how):
    if how == "mean":
        return sum(attention) / len(attention)
    if how == "max":
        return torch.max(attention, dim=0).values
    return torch.min(attention, dim=0).values


FUSE = Exercise(
    check=check.fuse_heads,
    right=[fuse, fuse_by_branches, fuse_with_einops_in_mind],
    wrong=[
        ("sum for mean", lambda a, how: a.sum(0) if how == "mean" else fuse(a, how), "gave the sum over the heads"),
        ("over the queries", lambda a, how: fuse(a.transpose(0, 1), how), "fused over the queries"),
        ("over the keys", lambda a, how: fuse(a.permute(2, 0, 1), how), "fused over the keys"),
        ("always the mean", lambda a, how: a.mean(0), "gave the mean over the heads"),
        (
            "max and min swapped",
            lambda a, how: fuse(a, {"max": "min", "min": "max"}.get(how, how)),
            "gave the min over the heads",
        ),
        ("one number", lambda a, how: {"mean": a.mean, "max": a.max, "min": a.min}[how](), "gave one number"),
        (
            "rows made to sum to one",
            lambda a, how: fuse(a, how) / fuse(a, how).sum(-1, keepdim=True),
            "rows that were made to sum to one",
        ),
        (
            "values and indices",
            lambda a, how: a.mean(0) if how == "mean" else getattr(torch, how)(a, dim=0),
            "gives two things",
        ),
    ],
)

# --- add_residual -----------------------------------------------------------------------------------------------------


def mix_in_loops(fused, residual_weight=0.5):
    rows = []
    for i, row in enumerate(fused.tolist()):
        row = [(1 - residual_weight) * weight for weight in row]
        row[i] += residual_weight
        rows.append([weight / sum(row) for weight in row])
    return rows


def mix_on_the_diagonal(fused, residual_weight=0.5):
    mixed = (1 - residual_weight) * fused
    mixed.diagonal().add_(residual_weight)
    return torch.nn.functional.normalize(mixed, p=1, dim=-1)


def _mixed(fused, share):
    return (1 - share) * fused + share * torch.eye(len(fused), dtype=fused.dtype)


RESIDUAL = Exercise(
    check=check.add_residual,
    right=[mix, mix_in_loops, mix_on_the_diagonal],
    wrong=[
        ("all of the attention", lambda f, w: mix(f, w / (1 + w)), "and the attention all of itself"),
        ("residual forgotten", lambda f, w: f / f.sum(-1, keepdim=True), "The residual is missing"),
        ("shares swapped", lambda f, w: mix(f, 1 - w), "shares are swapped"),
        ("rows not divided", _mixed, "The rows don't sum to one"),
        ("columns divided", lambda f, w: _mixed(f, w) / _mixed(f, w).sum(0, keepdim=True), "The columns sum to one"),
        ("keepdim forgotten", lambda f, w: _mixed(f, w) / _mixed(f, w).sum(-1), "without keepdim=True"),
        ("divided by everything", lambda f, w: _mixed(f, w) / _mixed(f, w).sum(), "sum of the whole matrix"),
        (
            "divided too early",
            lambda f, w: (1 - w) * f / f.sum(-1, keepdim=True) + w * torch.eye(len(f)),
            "before the residual was added",
        ),
        (
            "whole identity",
            lambda f, w: (f + torch.eye(len(f))) / (f + torch.eye(len(f))).sum(-1, keepdim=True),
            "the whole identity",
        ),
        (
            "ones for identity",
            lambda f, w: ((1 - w) * f + w) / ((1 - w) * f + w).sum(-1, keepdim=True),
            "matrix of ones",
        ),
        (
            "changed in place",
            lambda f, w: f.mul_(1 - w).add_(w * torch.eye(len(f))).div_(f.sum(-1, keepdim=True)),
            "changed the data",
        ),
    ],
)

# --- rollout ----------------------------------------------------------------------------------------------------------


def roll_from_the_top(attentions, residual_weight=0.5, fuse_by="mean"):
    """The row of every token at once, carried down through the layers from the last to the first."""
    seq = attentions[0].shape[-1]
    rows = torch.eye(seq, dtype=attentions[0].dtype)
    for layer in reversed(attentions):
        rows = rows @ mix(fuse(layer, fuse_by), residual_weight)
    return rows


def roll_by_multi_dot(attentions, residual_weight=0.5, fuse_by="mean"):
    steps = [mix(fuse(layer, fuse_by), residual_weight) for layer in attentions]
    return torch.linalg.multi_dot(steps[::-1]) if len(steps) > 1 else steps[0]


def _steps(attentions, share, how):
    return [mix(fuse(layer, how), share) for layer in attentions]


def _chain(matrices):
    flow = matrices[0]
    for matrix in matrices[1:]:
        flow = matrix @ flow
    return flow


def _added(a, w, h):
    return sum(_steps(a, w, h))


def _by_entry(a, w, h):
    return torch.stack(_steps(a, w, h)).prod(0)


def _never_filled(a, w, h):
    flow = torch.zeros_like(a[0][0])
    for step in _steps(a, w, h):
        flow = step @ flow
    return flow


ROLLOUT = Exercise(
    check=check.rollout,
    right=[roll, roll_from_the_top, roll_by_multi_dot],
    wrong=[
        ("starts with ones", lambda a, w, h: roll(a, w, h) @ torch.ones_like(a[0][0]), "a matrix of ones loses all"),
        ("wrong order", lambda a, w, h: _chain(_steps(a, w, h)[::-1]), "wrong order"),
        ("entry by entry", _by_entry, "entry by entry"),
        ("layers added", _added, "added up, not multiplied"),
        ("layers averaged", lambda a, w, h: _added(a, w, h) / len(a), "averaged, not multiplied"),
        ("result transposed", lambda a, w, h: roll(a, w, h).T, "The result is transposed"),
        (
            "steps transposed",
            lambda a, w, h: _chain([s.T for s in _steps(a, w, h)]),
            "matrix is transposed before the product",
        ),
        ("last layer alone", lambda a, w, h: _steps(a, w, h)[-1], "the last layer alone"),
        (
            "first layer missing",
            lambda a, w, h: roll(a, w, h) if len(a) < 3 else _chain(_steps(a[1:], w, h)),
            "The first layer is missing",
        ),
        (
            "last layer missing",
            lambda a, w, h: roll(a, w, h) if len(a) < 3 else _chain(_steps(a[:-1], w, h)),
            "The last layer is missing",
        ),
        ("no residual", lambda a, w, h: _chain([fuse(x, h) for x in a]), "The residual is missing"),
        ("starts at zeros", _never_filled, "zero everywhere"),
        ("residual_weight ignored", lambda a, w, h: roll(a, 0.5, h), "residual_weight is not passed on"),
        ("fuse ignored", lambda a, w, h: roll(a, w, "mean"), "fuse is not passed on"),
        ("one row", lambda a, w, h: roll(a, w, h)[-1], "the last row only"),
    ],
)

# --- uniform_rollout --------------------------------------------------------------------------------------------------


def uniform_by_roll(layers, seq, residual_weight=0.5):
    return roll([uniform(seq)] * layers, residual_weight)[-1]


def uniform_by_power(layers, seq, residual_weight=0.5):
    return torch.linalg.matrix_power(mix(uniform(seq)[0], residual_weight), layers)[-1]


def uniform_in_loops(layers, seq, residual_weight=0.5):
    row = [0.0] * (seq - 1) + [1.0]
    for _ in range(layers):
        row = [
            sum((1 - residual_weight) * row[i] / (i + 1) for i in range(j, seq)) + residual_weight * row[j]
            for j in range(seq)
        ]
    return row


def _blind(layers, seq, w):
    return roll([torch.full((1, seq, seq), 1 / seq)] * layers, w)[-1]


UNIFORM = Exercise(
    check=check.uniform_rollout,
    right=[uniform_by_roll, uniform_by_power, uniform_in_loops],
    wrong=[
        ("looks at the future", _blind, "also at later ones"),
        ("whole matrix", lambda n, s, w: roll([uniform(s)] * n, w), "the whole matrix"),
        ("last column", lambda n, s, w: roll([uniform(s)] * n, w)[:, -1], "the last column"),
        ("first column", lambda n, s, w: roll([uniform(s)] * n, w)[:, 0], "the first column"),
        ("first row", lambda n, s, w: roll([uniform(s)] * n, w)[0], "the first row"),
        ("not rolled out", lambda n, s, w: uniform(s)[0, -1], "the uniform attention itself"),
        (
            "no residual",
            lambda n, s, w: _chain([uniform(s)[0]] * n)[-1] if n > 1 else uniform_by_roll(n, s, w),
            "The residual is missing",
        ),
        ("residual_weight ignored", lambda n, s, w: uniform_by_roll(n, s), "residual_weight is not passed on"),
        ("one layer", lambda n, s, w: uniform_by_roll(1, s, w), "That is one layer"),
        ("rows of 1/seq", lambda n, s, w: roll([torch.ones(1, s, s).tril() / s] * n, w)[-1], "not 1 / seq"),
        ("rows of ones", lambda n, s, w: roll([torch.ones(1, s, s).tril()] * n, w)[-1], "divide the triangle of ones"),
    ],
)

# --- discard ----------------------------------------------------------------------------------------------------------


def drop(fused, ratio, n=None):
    allowed = torch.ones_like(fused).tril().bool()
    n = int(ratio * int(allowed.sum())) if n is None else n
    order = fused.masked_fill(~allowed, torch.inf).flatten().argsort(stable=True)
    kept = fused.flatten().clone()
    kept[order[:n]] = 0
    return kept.view_as(fused)


def drop_by_places(fused, ratio):
    rows, columns = torch.tril_indices(*fused.shape)
    smallest = fused[rows, columns].argsort(stable=True)[: int(ratio * len(rows))]
    kept = fused.clone()
    kept[rows[smallest], columns[smallest]] = 0
    return kept


def drop_one_by_one(fused, ratio):
    places = [(float(fused[i, j]), i, j) for i in range(len(fused)) for j in range(i + 1)]
    kept = fused.tolist()
    for _, i, j in sorted(places)[: int(ratio * len(places))]:
        kept[i][j] = 0.0
    return kept


def _everywhere(fused, ratio):
    kept = fused.flatten().clone()
    kept[kept.argsort(stable=True)[: int(ratio * kept.numel())]] = 0
    return kept.view_as(fused)


def _as_often_written(fused, ratio):
    return fused.masked_fill(fused <= torch.quantile(fused.flatten(), ratio), 0)


def _above_zero_only(fused, ratio):
    kept = fused.flatten().clone()
    positive = kept.nonzero().flatten()
    kept[positive[kept[positive].argsort(stable=True)][: int(ratio * len(positive))]] = 0
    return kept.view_as(fused)


def _in_each_row(fused, ratio):
    kept = fused.clone()
    for i, row in enumerate(kept):
        row[row[: i + 1].argsort(stable=True)[: int(ratio * (i + 1))]] = 0
    return kept


def _allowed(fused):
    return len(fused) * (len(fused) + 1) // 2


def _below_the_diagonal(fused, ratio):
    strict = torch.ones_like(fused).tril(-1).bool()
    order = fused.masked_fill(~strict, torch.inf).flatten().argsort(stable=True)
    kept = fused.flatten().clone()
    kept[order[: int(ratio * int(strict.sum()))]] = 0
    return kept.view_as(fused)


def _largest(fused, ratio):
    allowed = torch.ones_like(fused).tril().bool()
    order = fused.masked_fill(~allowed, -torch.inf).flatten().argsort(descending=True, stable=True)
    kept = fused.flatten().clone()
    kept[order[: int(ratio * int(allowed.sum()))]] = 0
    return kept.view_as(fused)


DISCARD = Exercise(
    check=check.discard,
    right=[drop, drop_by_places, drop_one_by_one],
    wrong=[
        ("rounded", lambda f, r: drop(f, r, round(r * len(f) * (len(f) + 1) / 2)), "round the number of entries down"),
        ("the whole matrix", _everywhere, "Count the allowed entries only"),
        ("share of n²", lambda f, r: drop(f, r, int(r * f.numel())), "too many"),
        ("the code as often written", _as_often_written, "You took the quantile over the whole matrix"),
        ("zeros not counted", _above_zero_only, "You counted only what is above zero"),
        ("by row", _in_each_row, "in each row by itself"),
        ("the largest", _largest, "dropped the largest"),
        ("kept for dropped", lambda f, r: drop(f, r, _allowed(f) - int(r * _allowed(f))), "kept the share"),
        ("without the diagonal", _below_the_diagonal, "left the diagonal out"),
        (
            "rows made to sum to one",
            lambda f, r: drop(f, r) / drop(f, r).sum(-1, keepdim=True),
            "made the rows sum to one",
        ),
        ("rounded up", lambda f, r: drop(f, r, int(r * _allowed(f)) + 1), "round the number of entries down"),
        ("nothing", lambda f, r: f.clone(), "Nothing was dropped"),
    ],
)

# --- attention_flow ---------------------------------------------------------------------------------------------------


def _graph(steps):
    graph = nx.DiGraph()
    for number, step in enumerate(steps):
        for i, row in enumerate(step.tolist()):
            for j, weight in enumerate(row):
                graph.add_edge((number + 1, i), (number, j), capacity=weight)
    return graph


def flow(steps, position):
    graph, top = _graph(steps), (len(steps), position)
    flows = torch.tensor([nx.maximum_flow_value(graph, top, (0, j)) for j in range(len(steps[0]))])
    return flows / flows.sum()


def flow_by_minimum_cut(steps, position):
    graph = _graph(steps)
    cuts = [nx.minimum_cut_value(graph, (len(steps), position), (0, j)) for j in range(len(steps[0]))]
    return [cut / sum(cuts) for cut in cuts]


def flow_by_linear_programme(steps, position):
    """The definition itself: as much as possible leaves the source, and every node between passes on what it gets."""
    edges = [
        ((n + 1, i), (n, j), float(w))
        for n, step in enumerate(steps)
        for i, row in enumerate(step)
        for j, w in enumerate(row)
    ]
    flows = []
    for sink in range(len(steps[0])):
        ends = {(len(steps), position), (0, sink)}
        nodes = sorted({node for edge in edges for node in edge[:2]} - ends)
        balance = np.array(
            [[(end == node) - (start == node) for start, end, _ in edges] for node in nodes], dtype=float
        )
        gain = [-1.0 if start == (len(steps), position) else 0.0 for start, _, _ in edges]
        flows.append(-linprog(gain, A_eq=balance, b_eq=np.zeros(len(nodes)), bounds=[(0, w) for *_, w in edges]).fun)
    return np.array(flows) / sum(flows)


def _widest(steps, position):
    width = torch.zeros(len(steps[0]), dtype=torch.float64)
    width[position] = torch.inf
    for step in reversed(steps):
        width = torch.stack([torch.minimum(width, step[:, j]).max() for j in range(len(width))])
    return width / width.sum()


FLOW = Exercise(
    check=check.attention_flow,
    right=[flow, flow_by_minimum_cut, flow_by_linear_programme],
    wrong=[
        ("always the last token", lambda s, p: flow(s, len(s[0]) - 1), "whatever `position` is"),
        (
            "not divided",
            lambda s, p: [nx.maximum_flow_value(_graph(s), (len(s), p), (0, j)) for j in range(len(s[0]))],
            "divide them by their sum",
        ),
        ("rollout", lambda s, p: _chain(s)[p], "That is rollout"),
        ("layers reversed", lambda s, p: flow(s[::-1], p), "layers are in the wrong order"),
        ("edges reversed", lambda s, p: flow([m.T for m in s], p), "edges run the wrong way"),
        ("widest path", _widest, "widest single path"),
        ("position ignored", lambda s, p: flow(s, 0), "flow into the first token"),
        ("last layer missing", lambda s, p: flow(s[:-1], p), "last layer is missing"),
    ],
)

EXERCISES = {exercise.check.__name__: exercise for exercise in (FUSE, RESIDUAL, ROLLOUT, UNIFORM, DISCARD, FLOW)}
