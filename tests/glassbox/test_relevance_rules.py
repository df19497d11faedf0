"""Each rule against sums written out entry by entry, numbers worked by hand, and what must always hold."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glassbox.relevance_rules import (
    EPSILON,
    gate_rule,
    layer_norm_rule,
    linear_rule,
    matmul_rule,
    residual_rule,
    rotary_rule,
    softmax_rule,
    stabilised,
    weighted_sum_rule,
)

EPSILONS = [1e-9, 1e-2, 0.5]


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def close(got, want, tolerance=1e-12):
    want = torch.as_tensor(want, dtype=torch.float64)
    return got.shape == want.shape and float((got - want).abs().max()) <= tolerance * max(1, float(want.abs().max()))


def by_loops(x, weight, bias, relevance, epsilon):
    """Bach et al. 2015, equations 56 to 58, for one vector x: R_i = Σ_j z_ij / (z_j ± ε) R_j, with z_ij = x_i w_ij."""
    received = [0.0] * len(x)
    for j in range(len(relevance)):
        z = sum(float(x[i] * weight[j][i]) for i in range(len(x))) + (0.0 if bias is None else float(bias[j]))
        for i in range(len(x)):
            received[i] += float(x[i] * weight[j][i]) / (z + epsilon if z >= 0 else z - epsilon) * float(relevance[j])
    return received


def test_the_stabiliser_is_never_zero():
    z = torch.tensor([2.0, 0.0, -0.0, -2.0], dtype=torch.float64)
    assert stabilised(z, 0.5).tolist() == [2.5, 0.5, 0.5, -2.5]
    assert stabilised(z).tolist() == [2 + EPSILON, EPSILON, EPSILON, -2 - EPSILON]


def test_a_linear_layer_by_hand():
    # z_1 = 1·3 + 2·1 + 1 = 6, z_2 = 1·1 - 2·1 = -1; of R = (6, 2) come 3 + (-2) to x_1 and 2 + 4 to x_2, b_1 keeps 1.
    x, weight = torch.tensor([1.0, 2.0]), torch.tensor([[3.0, 1.0], [1.0, -1.0]])
    relevance = linear_rule(x, weight, torch.tensor([1.0, 0.0]), torch.tensor([6.0, 2.0]))
    assert relevance.tolist() == [1.0, 6.0]
    assert linear_rule(x, weight, torch.tensor([1.0, 0.0]), torch.tensor([6.0, 2.0]), 1.0).tolist() == pytest.approx(
        [3 * 6 / 7 - 1, 2 * 6 / 7 + 2]
    )


@pytest.mark.parametrize("epsilon", EPSILONS)
@pytest.mark.parametrize("biased", [True, False])
def test_linear_against_loops(epsilon, biased):
    x, weight, bias, relevance = draw(2, 3, 4), draw(5, 4), draw(5) if biased else None, draw(2, 3, 5)
    x[0, 0] = 0  # then z is the bias, or zero
    got = linear_rule(x, weight, bias, relevance, epsilon)
    want = [
        [by_loops(x[a, b], weight, bias, relevance[a, b], epsilon) for b in range(x.shape[1])]
        for a in range(x.shape[0])
    ]
    assert close(got, want)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    sizes=st.tuples(*[st.integers(1, 6)] * 3),
    epsilon=st.floats(1e-9, 10),
    biased=st.booleans(),
)
def test_what_a_linear_layer_does_not_hand_back_its_bias_and_epsilon_keep(seed, sizes, epsilon, biased):
    torch.manual_seed(seed)
    rows, width, out = sizes
    x, weight, relevance = draw(rows, width), draw(out, width), draw(rows, out)
    bias = draw(out) if biased else torch.zeros(out, dtype=torch.float64)
    z = x @ weight.T + bias
    kept = (bias + epsilon * (2 * (z >= 0).double() - 1)) * relevance / stabilised(z, epsilon)
    handed_back = linear_rule(x, weight, bias, relevance, epsilon).sum(-1)
    assert close(handed_back + kept.sum(-1), relevance.sum(-1), 1e-9 * max(1, float(kept.abs().max())))


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_a_residual_is_a_linear_layer_with_weights_of_one(epsilon):
    a, b, relevance = draw(3, 4), draw(3, 4), draw(3, 4)
    of_a, of_b = residual_rule(a, b, relevance, epsilon)
    for row in range(3):
        for i in range(4):
            want = by_loops([a[row, i], b[row, i]], [[1.0, 1.0]], None, [relevance[row, i]], epsilon)
            assert close(torch.stack([of_a[row, i], of_b[row, i]]), want)


@pytest.mark.parametrize("epsilon", EPSILONS)
@pytest.mark.parametrize("biased", [True, False])
def test_layer_norm_is_a_linear_layer_once_sigma_is_a_constant(epsilon, biased):
    x, weight, bias, relevance = draw(3, 6), draw(6), draw(6) if biased else None, draw(3, 6)
    got = layer_norm_rule(x, weight, bias, relevance, epsilon, norm_epsilon=0.1)
    centre = torch.eye(6, dtype=torch.float64) - 1 / 6
    for row in range(3):
        sigma = float(((x[row] - x[row].mean()) ** 2).mean() + 0.1) ** 0.5
        matrix = weight[:, None] * centre / sigma  # (out, in)
        assert close(got[row], by_loops(x[row], matrix, bias, relevance[row], epsilon))


def test_a_gate_gives_half_to_each():
    relevance = draw(3)
    assert all(torch.equal(half, relevance / 2) for half in gate_rule(relevance))


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_a_matrix_product_gives_each_factor_half_of_what_it_gets_when_the_other_is_constant(epsilon):
    a, b, relevance = draw(2, 3, 4), draw(2, 4, 5), draw(2, 3, 5)
    of_a, of_b = matmul_rule(a, b, relevance, epsilon)
    alone = weighted_sum_rule(a, b, relevance, epsilon)
    for head in range(2):
        want_a = [by_loops(a[head, i], b[head].T, None, relevance[head, i], epsilon) for i in range(3)]
        want_b = [by_loops(b[head, :, j], a[head], None, relevance[head, :, j], epsilon) for j in range(5)]
        assert close(2 * of_a[head], want_a)
        assert close(2 * of_b[head].T, want_b)
        assert close(alone[head].T, want_b)


def test_softmax_is_its_taylor_expansion():
    """AttnLRP, proposition 3.1: R_i = Σ_j S_i ∂A_j/∂S_i · R_j / A_j, here with the slopes of a finite difference."""
    scores, relevance, step = draw(4), draw(4), 1e-6
    weights = scores.softmax(-1)
    want = []
    for i in range(4):
        moved = step * torch.eye(4, dtype=torch.float64)[i]
        slopes = ((scores + moved).softmax(-1) - (scores - moved).softmax(-1)) / (2 * step)
        want.append(float((scores[i] * slopes * relevance / weights).sum()))
    assert close(softmax_rule(scores, weights, relevance), want, 1e-8)


def test_softmax_loses_what_stands_in_the_shift():
    """Adding the same to all scores changes no weight, but what the rule hands back: it does not conserve."""
    scores, relevance = draw(2, 3, 4), draw(2, 3, 4)
    weights = scores.softmax(-1)
    assert not close(softmax_rule(scores, weights, relevance).sum(-1), relevance.sum(-1), 1e-2)
    shifted = softmax_rule(scores + 1, (scores + 1).softmax(-1), relevance)
    assert close(shifted - softmax_rule(scores, weights, relevance), relevance - weights * relevance.sum(-1)[..., None])


def test_masked_scores_get_nothing():
    scores, relevance = draw(2, 4, 4), draw(2, 4, 4).tril()
    weights = scores.masked_fill(torch.ones(4, 4).triu(1).bool(), -torch.inf).softmax(-1)
    assert not softmax_rule(scores, weights, relevance).triu(1).any()


@pytest.mark.parametrize("epsilon", EPSILONS)
def test_rotation_by_position_is_a_linear_layer(epsilon):
    x, relevance, angle = draw(3, 6), draw(3, 6), draw(3, 3)
    cos, sin = torch.cat([angle, angle], -1).cos(), torch.cat([angle, angle], -1).sin()
    got = rotary_rule(x, cos, sin, relevance, epsilon)
    for place in range(3):
        matrix = torch.zeros(6, 6, dtype=torch.float64)  # (out, in): (x_i, x_{i+3}) is turned by the i-th angle
        for i in range(3):
            matrix[i, i] = matrix[i + 3, i + 3] = angle[place, i].cos()
            matrix[i + 3, i] = angle[place, i].sin()
            matrix[i, i + 3] = -angle[place, i].sin()
        assert close(got[place], by_loops(x[place], matrix, None, relevance[place], epsilon))
