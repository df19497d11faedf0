"""Which method is measured beside which peer, and what we aim at: a ratio of their times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from tests.benchmarks import peers
from tests.benchmarks.cases import Case
from tests.benchmarks.peers import Run

import glassbox as gb
from glassbox.question import Question
from glassbox.removal import values_without


@dataclass(frozen=True)
class Comparison:
    """`ours` beside `peer`, where `fits` says that the case is neither too long nor of the wrong kind."""

    name: str
    ours: Callable[[Case], Run]
    beside: str
    peer: Callable[[Case], Run]
    aim: float | None = None
    fits: Callable[[Case], bool] = lambda case: True


def method(name: str, **options: object) -> Callable[[Case], Run]:
    return lambda case: (lambda: case.explain(name, **options), 1)


def stepping(name: str, option: str) -> Callable[[Case], Run]:
    """As many points as captum takes."""
    return lambda case: (lambda: case.explain(name, **{option: case.steps}), 1)


def sampling(name: str) -> Callable[[Case], Run]:
    """As many coalitions as captum asks about."""
    return lambda case: (lambda: case.explain(name, samples=case.coalitions, how="replace", replacement=0), 1)


def reading(function: Callable, **options: object) -> Callable[[Case], Run]:
    return lambda case: (lambda: function(case.model, None, case.ids, **options), 1)


def leave_one_out(case: Case) -> Run:
    if not case.long:
        return lambda: case.explain("leave_one_out"), 1
    # Neighbours share a run, and the earlier a token the more follows it: so four blocks of neighbours, evenly spread.
    places = [start + place for start in range(case.tokens // 8, case.tokens, case.tokens // 4) for place in range(16)]
    kept = torch.ones(len(places), case.tokens, dtype=torch.bool)
    kept[range(len(places)), places] = False
    question = Question.ask(case.model, None, case.ids, case.target, None, -1, "logit")
    with torch.no_grad():
        question = question.settled(question.run())
    return lambda: values_without(question, kept), case.tokens / len(places)


def decoder(case: Case) -> bool:
    return isinstance(case.target, int)


def short(case: Case) -> bool:
    """Where hundreds of runs of the model take seconds."""
    return case.model.num_parameters() * case.tokens <= 2**32 and case.tokens <= 128


EACH, CAPTUM, PASS, BACK = "a pass for each token", "captum", "a forward pass", "a forward and backward pass"
COMPARISONS = [
    Comparison("leave_one_out", leave_one_out, EACH, peers.forward_for_each_token, 0.2),
    Comparison("leave_one_out", leave_one_out, CAPTUM, peers.captum_ablation, 1),
    Comparison("occlusion", method("occlusion"), EACH, peers.forward_for_each_token, 0.2, lambda case: not case.long),
    Comparison("lime", sampling("lime"), CAPTUM, peers.captum_lime, 1, short),
    Comparison("kernel_shap", sampling("kernel_shap"), CAPTUM, peers.captum_kernel_shap, 1, short),
    Comparison("gradient", method("gradient"), BACK, peers.forward_and_backward),
    Comparison("gradient_x_input", method("gradient_x_input"), CAPTUM, peers.captum_input_x_gradient),
    Comparison("smooth_grad", stepping("smooth_grad", "samples"), CAPTUM, peers.captum_smooth_grad),
    Comparison(
        "integrated_gradients",
        stepping("integrated_gradients", "steps"),
        CAPTUM,
        peers.captum_integrated_gradients,
        1,
    ),
    Comparison("lrp", method("lrp"), BACK, peers.forward_and_backward, 1.5),
    Comparison("attention", method("attention"), PASS, peers.forward, 1.2),
    Comparison("rollout", method("rollout"), PASS, peers.forward, 1.2),
    Comparison("attention_flow", method("attention_flow"), PASS, peers.forward, None, lambda case: case.tokens <= 32),
    Comparison("attention_norms", method("attention_norms"), PASS, peers.forward),
    Comparison("grad_attention", method("grad_attention"), BACK, peers.forward_and_backward),
    Comparison("grad_attention_rollout", method("grad_attention_rollout"), BACK, peers.forward_and_backward),
    Comparison("logit_lens, last token", reading(gb.logit_lens, positions=[-1]), PASS, peers.forward, 1.2, decoder),
    Comparison("logit_lens, all tokens", reading(gb.logit_lens), PASS, peers.forward, None, decoder),
    Comparison("logit_attribution", reading(gb.logit_attribution), PASS, peers.forward, 1.2, decoder),
]


def ratios(case: Case, medians: Callable) -> Iterator[tuple[Comparison, float]]:
    """Each comparison that fits the case, with its ratio; all of them measured in the same rounds."""
    fitting = [each for each in COMPARISONS if each.fits(case)]
    makers = {each.name: each.ours for each in fitting} | {each.peer.__name__: each.peer for each in fitting}
    runs = {name: make(case) for name, make in makers.items()}
    ratio = medians(
        {name: call for name, (call, _) in runs.items()}, {name: scale for name, (_, scale) in runs.items()}
    )
    for each in fitting:
        yield each, ratio(each.name, each.peer.__name__)
