"""What an attribution holds, prints, ranks and merges."""

import pytest
import torch

import glassbox as gb
from glassbox.errors import InputError


def attribution(tokens, scores, spans=None, **more):
    spans = spans or [(token.strip(), place, place + 1) for place, token in enumerate(tokens)]
    known = dict(method="rollout", target=7, target_token=" Paris", position=len(tokens) - 1, of="logit", value=9.3)
    return gb.Attribution(tokens=tokens, scores=scores, word_spans=spans, **known | more)


def test_scores_are_float32_and_detached():
    scores = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    a = attribution(["a", " b"], scores)
    assert a.scores.dtype == torch.float32 and not a.scores.requires_grad
    assert attribution(["a", " b"], [1, 2]).scores.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("scores", [[1.0], [[1.0, 2.0]], [1.0, 2.0, 3.0]])
def test_one_score_for_each_token(scores):
    with pytest.raises(InputError, match=r"scores have the shape .*; allowed: \(2,\), one for each token"):
        attribution(["a", " b"], scores)


def test_ranks_and_top():
    a = attribution(["a", " b", " c", " d"], [0.1, 0.5, -0.7, 0.5])
    assert a.ranks.tolist() == [3, 1, 4, 2]  # equal scores keep the text's order
    assert a.top(2) == [(" b", 0.5), (" d", 0.5)]
    assert [token for token, _ in a.top(9)] == [" b", " d", "a", " c"]


def test_words_add_up_their_tokens():
    baseline = torch.tensor([0.4, 0.3, 0.2, 0.1])
    spans = [("The", 0, 1), ("unseen", 1, 3), ("Tower", 3, 4)]
    a = attribution(
        ["The", " un", "seen", " Tower"], [0.1, 0.2, 0.3, 0.4], spans, details={"baseline": baseline, "x": 1}
    )
    b = a.words()
    assert b.tokens == ["The", "unseen", "Tower"]
    assert b.scores.tolist() == pytest.approx([0.1, 0.5, 0.4])
    assert b.position == 2
    assert b.details["baseline"].tolist() == pytest.approx([0.4, 0.5, 0.1]) and b.details["x"] == 1
    assert a.details["baseline"] is baseline and a.tokens[1] == " un"
    assert b.words().tokens == b.tokens and torch.equal(b.words().scores, b.scores)


def test_words_of_an_explanation(model, tokenizer):
    a = gb.explain(model, tokenizer, "The unseen Tower", method="rollout", position=2)
    b = a.words()
    assert b.tokens == ["The", "unseen", "Tower"]
    assert b.scores.tolist() == pytest.approx([float(a.scores[0]), float(a.scores[1:3].sum()), 0.0])
    assert b.position == 1


def test_print():
    a = attribution(["The", " Tower", "\n"], [0.25, 0.5, -0.125], foil=3, foil_token=" London")
    assert str(a).splitlines() == [
        "rollout: ' Paris' rather than ' London' at token 2 '\\n' (logit 9.300)",
        "  0  The        0.250  ██████████",
        "  1   Tower     0.500  ████████████████████",
        "  2  \\n        -0.125  █████",
    ]


def test_print_of_zeros():
    assert str(attribution(["a", " b"], [0.0, 0.0])).splitlines()[1] == "  0  a      0.000"


def test_html_escapes_what_the_text_says():
    evil = "</script><img src=x onerror=alert(1)>"
    html = attribution([evil, "&amp;"], [0.5, -1.0], target_token=evil)._repr_html_()
    assert "<img" not in html and "</script>" not in html
    assert html.count("&lt;/script&gt;&lt;img") == 2
    assert "&amp;amp;" in html
    assert (
        html.count("<span") == 2
        and "background:rgba(57,135,229,0.38)" in html
        and "background:rgba(235,104,52,0.75)" in html
    )
