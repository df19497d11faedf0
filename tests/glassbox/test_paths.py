"""Other paths than the straight line: against plain loops, captum, replacement, and what must always hold."""

import warnings

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.glassbox.agreement import agree
from tests.glassbox.architectures import ARCHITECTURES
from tests.glassbox.test_gradients import close, embedded, logit, text
from tests.glassbox.test_integrated import mean_embedding

import glassbox as gb
from glassbox.errors import InputError
from glassbox.integrated import path_integral
from glassbox.paths import anchored_path, riemann_steps, sequential_path

DIG, UDIG, SIG = (f"{kind}_integrated_gradients" for kind in ("discretised", "uniform_discretised", "sequential"))
pytestmark = pytest.mark.filterwarnings("ignore:.*integrated_gradients. the scores miss")


def by_loops(word, baseline, vocabulary, strategy, anchors, neighbours, uniform):
    """The path of one word as the papers tell it, coordinate by coordinate. Arrays; from the baseline to the word."""

    def stands_between(value, one, other):
        return min(one, other) <= value <= max(one, other)

    def straightened(anchor, last):
        return [
            a if stands_between(a, c, b) else c - (c - b) / anchors
            for a, c, b in zip(anchor, last, baseline, strict=True)
        ]

    path, points, last = [word], [list(vocabulary[word])], vocabulary[word]
    for step in range(1, anchors + 1):
        here = last
        if uniform:
            here = [w - step / (anchors + 1) * (w - b) for w, b in zip(vocabulary[word], baseline, strict=True)]
        distances = [sum((a - h) ** 2 for a, h in zip(anchor, here, strict=True)) for anchor in vocabulary]
        order = sorted(range(len(vocabulary)), key=distances.__getitem__)
        if not uniform:
            order = [token for token in order if distances[token] > 0]
        free = [t for t in order[:neighbours] if t not in path and list(vocabulary[t]) != list(baseline)]
        best, least = None, np.inf
        for token in free:
            if strategy == "maxcount":
                misfit = sum(
                    not stands_between(a, c, b) for a, c, b in zip(vocabulary[token], last, baseline, strict=True)
                )
            else:
                moved = straightened(vocabulary[token], last)
                misfit = sum((a - m) ** 2 for a, m in zip(vocabulary[token], moved, strict=True)) ** 0.5
            if misfit < least - 1e-12:
                best, least = token, misfit
        path += [] if best is None else [best]
        last = baseline if best is None else vocabulary[best]
        points.append(straightened(last, points[-1]))
    return np.array([*points, list(baseline)][::-1])


@settings(deadline=None, max_examples=40)
@given(
    tokens=st.integers(1, 12),
    width=st.integers(1, 4),
    anchors=st.integers(1, 6),
    neighbours=st.integers(1, 14),
    strategy=st.sampled_from(["greedy", "maxcount"]),
    uniform=st.booleans(),
    from_a_word=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_anchored_paths_against_loops(tokens, width, anchors, neighbours, strategy, uniform, from_a_word, seed):
    generator = torch.Generator().manual_seed(seed)
    vocabulary = torch.randn(tokens, width, generator=generator, dtype=torch.float64)
    words = torch.randint(0, tokens, (3,), generator=generator)
    baseline = vocabulary[0] if from_a_word else torch.randn(width, generator=generator, dtype=torch.float64)
    chosen = dict(strategy=strategy, anchors=anchors, neighbours=neighbours, uniform=uniform)
    points = anchored_path(words, baseline.expand(3, -1), vocabulary, **chosen)
    assert points.shape == (anchors + 2, 3, width)
    for i, word in enumerate(words.tolist()):
        assert close(points[:, i], by_loops(word, baseline.numpy(), vocabulary.numpy(), **chosen))
    assert torch.equal(points[0], baseline.expand(3, -1)) and torch.equal(points[-1], vocabulary[words])
    moves = points.diff(dim=0)
    assert (moves * (vocabulary[words] - baseline) >= -1e-12).all()  # no coordinate ever turns back
    assert close(moves.sum(0), vocabulary[words] - baseline)


def test_the_strategies_differ_and_so_do_the_neighbourhoods():
    generator = torch.Generator().manual_seed(0)
    vocabulary = torch.randn(60, 8, generator=generator)
    words, baseline = torch.arange(5), vocabulary.mean(0).expand(5, -1)
    paths = [
        anchored_path(words, baseline, vocabulary, strategy, anchors=5, neighbours=10, uniform=uniform)
        for strategy in ("greedy", "maxcount")
        for uniform in (False, True)
    ]
    assert all(not close(one, other, 1e-3) for i, one in enumerate(paths) for other in paths[:i])


def test_an_anchor_by_hand():
    # From (4, 4) to (0, 0): (3, 5) has one coordinate inside and is 2 away from its place; (6, 5) has none.
    vocabulary = torch.tensor([[4.0, 4.0], [3.0, 5.0], [6.0, 5.0]], dtype=torch.float64)
    points = anchored_path(torch.tensor([0]), torch.zeros(1, 2).double(), vocabulary, "maxcount", anchors=2)
    # The second anchor (6, 5) lies outside in both, so that half of the way to the baseline is taken instead.
    assert points[:, 0].tolist() == [[0, 0], [1.5, 1], [3, 2], [4, 4]]


@settings(deadline=None, max_examples=30)
@given(points=st.integers(2, 6), halvings=st.integers(0, 4), seed=st.integers(0, 10**6))
def test_riemann_sums(points, halvings, seed):
    generator = torch.Generator().manual_seed(seed)
    path, w = (torch.randn(points, 2, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    steps = list(riemann_steps(path, halvings))
    assert len(steps) == (points - 1) * 2**halvings
    assert close(path_integral(lambda x: (w[0] * x).sum((1, 2)), steps), w[0] * (path[-1] - path[0]))
    # Of a square the left sum misses half of each move squared.
    missing = path[-1] ** 2 - path[0] ** 2 - path_integral(lambda x: (x**2).sum((1, 2)), steps)
    assert close(missing, sum(move**2 for _, move in steps))
    assert torch.equal(steps[0][0], path[0]) and all(
        close(point + move, after) for (point, move), (after, _) in zip(steps, steps[1:], strict=False)
    )


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize(("method", "uniform"), [(DIG, False), (UDIG, True)])
def test_discretised_on_a_model_against_loops(build, name, method, uniform):
    model, ids = build(name, dtype=torch.float64), text(4)
    chosen = dict(strategy="maxcount", anchors=3, neighbours=6)
    a = gb.explain(model, None, ids, method=method, target=1, halvings=0, **chosen)
    vocabulary = embedded(model, torch.arange(300)[None])[0]
    baseline = mean_embedding(model, ids)[0, 0]
    paths = [by_loops(w, baseline.numpy(), vocabulary.numpy(), **chosen, uniform=uniform) for w in ids[0].tolist()]
    points, scores, f = torch.tensor(np.stack(paths, axis=1)), torch.zeros(4).double(), logit(model, 1)
    for here, there in zip(points[:-1], points[1:], strict=True):
        x = here[None].requires_grad_()
        [slope] = torch.autograd.grad(f(x).sum(), x)
        scores += (slope[0] * (there - here)).sum(-1)
    assert close(a.scores, scores, 1e-5 * float(scores.abs().max()))
    with torch.no_grad():
        whole = float(f(points[-1:]) - f(points[:1]))
    assert a.details["gap"] == pytest.approx(abs(float(scores.sum()) - whole), abs=1e-5)


@pytest.mark.parametrize("method", [DIG, UDIG])
def test_halving_closes_the_gap(build, method):
    shares = [
        gb.explain(build("gpt2"), None, text(5), method=method, anchors=4, halvings=halvings).details["gap_share"]
        for halvings in (0, 4, 7)
    ]
    assert shares[0] > 0.05 and shares[2] < shares[1] < shares[0] / 4 and shares[2] < 0.02


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_sequential_against_captum(build, name):
    model, ids = build(name, dtype=torch.float64), text(5)
    x, mean, scores = embedded(model, ids), mean_embedding(model, ids), []
    for i in range(5):
        baseline = x.clone()
        baseline[0, i] = mean[0, i]
        whole = IntegratedGradients(logit(model, 1)).attribute(x, baseline, n_steps=6, method="gausslegendre")
        scores.append(whole[0].sum(-1)[i])
    a = gb.explain(model, None, ids, method=SIG, target=1, steps=6)
    agree("sequential integrated gr.", name, "captum IntegratedGradients", a.scores, torch.stack(scores))


@pytest.mark.parametrize("name", ["gpt2", "bert", "roberta-classifier"])
def test_sequential_ends_up_as_replacing_the_token(build, name):
    model, ids = build(name, dtype=torch.float64), text(6)
    a = gb.explain(model, None, ids, method=SIG, target=1, steps=100, baseline=9)
    f, x, nine = logit(model, 1), embedded(model, ids), embedded(model, torch.tensor([[9]]))[0, 0]
    with torch.no_grad():
        texts = x.repeat(6, 1, 1)
        texts[range(6), range(6)] = nine
        replaced = f(x) - f(texts)  # (6,)
    assert close(a.scores, replaced, 1e-5 * float(replaced.abs().max()))
    assert a.details["gap_share"] < 1e-5


def test_the_sequential_gap_is_added_up_over_tokens(build):
    model, ids = build("gpt2", dtype=torch.float64), text(5)
    few, many = (gb.explain(model, None, ids, method=SIG, target=1, steps=steps) for steps in (1, 60))
    differences = (few.scores - many.scores).abs().sum()
    assert few.details["gap"] == pytest.approx(float(differences), rel=1e-3)
    assert few.details["gap_share"] == pytest.approx(float(differences / many.scores.abs().sum()), rel=1e-3)


def test_a_sequential_path_moves_one_token_at_a_time():
    x, baseline = torch.randn(3, 2), torch.zeros(3, 2)
    steps = list(sequential_path(x, baseline, 4))
    assert len(steps) == 12
    for number, (point, move) in enumerate(steps):
        others = [i for i in range(3) if i != number // 4]
        assert torch.equal(point[others], x[others]) and not move[others].any()
    assert close(sum(move for _, move in steps), x, 1e-6)


@pytest.mark.parametrize("method", [DIG, UDIG, SIG])
def test_what_all_methods_can(build, method):
    chosen = dict(method=method, **(dict(steps=4) if method == SIG else dict(anchors=4, halvings=1)))
    model = build("qwen2")
    later = gb.explain(model, None, text(), **chosen, position=2).scores
    assert later[3:].eq(0).all() and later[:3].ne(0).all()
    one, many = (gb.explain(model, None, text(5), **chosen, batch_size=size).scores for size in (1, 9))
    assert close(one, many, 1e-4)
    model.requires_grad_(False)
    with torch.no_grad():
        assert close(gb.explain(model, None, text(5), **chosen).scores, one, 1e-4)
    exact, half = (
        gb.explain(build("bert", dtype=dtype), None, text(5), **chosen, target=1).scores
        for dtype in (torch.float32, torch.float16)
    )
    assert close(half, exact, 0.02 * float(exact.abs().max()))


@pytest.mark.parametrize("method", [DIG, UDIG, SIG])
def test_the_warning_stands_at_the_callers_line_and_names_what_helps(build, method):
    few = dict(steps=1) if method == SIG else dict(halvings=0, anchors=1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gb.explain(build("gpt2"), None, text(5), method=method, **few)
    assert caught[0].filename == __file__
    assert f"take more {'steps' if method == SIG else 'halvings'}, or" in str(caught[0].message)


BAD = {
    "unknown strategy": (DIG, dict(strategy="best"), "strategy is 'best'; allowed: 'greedy', 'maxcount'"),
    "no anchors": (DIG, dict(anchors=0), "anchors is 0; allowed: a whole number, 1 or more"),
    "no neighbours": (UDIG, dict(neighbours=0), "neighbours is 0; allowed: a whole number, 1 or more"),
    "less than no halvings": (UDIG, dict(halvings=-1), "halvings is -1; allowed: a whole number, 0 or more"),
    "half a halving": (DIG, dict(halvings=0.5), "halvings is 0.5; allowed: a whole number"),
    "no steps": (SIG, dict(steps=0), "steps is 0; allowed: a whole number, 1 or more"),
    "no such baseline": (SIG, dict(baseline=1.5), "the baseline is 1.5; allowed: 'mean', 'zero'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(model, case):
    method, options, message = BAD[case]
    with pytest.raises(InputError, match=message):
        gb.explain(model, None, text(), method=method, **options)


@pytest.mark.parametrize("method", [DIG, UDIG])
def test_on_the_small_world(smallworld_model, method):
    a = gb.explain(*smallworld_model, "The Eiffel Tower is located in the city of", method=method, halvings=5)
    assert a.target_token == " Paris" and a.details["gap_share"] < 0.05
    assert float(a.scores.sum()) == pytest.approx(a.value - a.details["baseline_value"], rel=0.05)
