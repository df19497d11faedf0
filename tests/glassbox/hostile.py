"""One view of each kind, whose tokens do harm wherever they are taken for markup."""

import torch

import glassbox as gb

IDS = torch.tensor([[5, 9, 120, 7, 33, 41]])
KINDS = ["token_strip", "attention", "lens", "generation", "steering", "architecture"]
HOSTILE = [
    "</script><img src=x onerror=harmed=1>", " <b>&amp;", "</table>$x^2$", "\n\u202e", '"\' onclick="x',
    "<script>harmed=1</script>\\(y\\)",
]  # fmt: skip


class Speller:
    """A tokenizer that spells every id as one of them."""

    all_special_ids = [0]
    model_max_length = 24

    def decode(self, ids, **_):
        return "".join(HOSTILE[number % len(HOSTILE)] for number in ids)

    def convert_ids_to_tokens(self, number):
        return "x"


def attribution(tokens, scores, method="lrp", pair=False):
    """An attribution of these tokens, each a word of its own, or the first two one word."""
    words = [(tokens[0] + tokens[1], 0, 2)] if pair else []
    words += [(token.strip() or token, place, place + 1) for place, token in enumerate(tokens) if place > 1 or not pair]
    return gb.Attribution(tokens, scores, method, 1, tokens[-1], len(tokens) - 1, "logit", 0.0, words)


def vector_of(model):
    return gb.steering_vector(model, None, positive=[IDS], negative=[IDS.flip(1)], layer=1)


def every_view(model):
    """By their kinds, in the order of KINDS."""
    signed = torch.linspace(-1, 0.9, len(HOSTILE))
    strips = [attribution(HOSTILE, signed, pair=True), attribution(HOSTILE, signed.flip(0), "<i>x</i>", pair=True)]
    speller, vector = Speller(), vector_of(model)
    views = [
        gb.views.token_strip(strips, evidence=[True] + [False] * 5),
        gb.views.attention(model, speller, IDS),
        gb.views.lens(gb.logit_lens(model, speller, IDS), follow=[7]),
        gb.views.generation(model, speller, IDS, new_tokens=3),
        gb.views.steering(model, speller, IDS, vector, strengths=[-1, 0, 2], new_tokens=3, watch=[7]),
        gb.views.architecture(model),
    ]
    return dict(zip(KINDS, views, strict=True))
