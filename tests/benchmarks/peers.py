"""What each method is measured beside: the model's own passes, and captum in its best batching.

Each is a function of a case that gives (something to run, by what its time is multiplied). Where all of it would take
minutes, a part is run, and multiplied: some of the tokens that are taken away one by one cost what the others do.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from captum.attr import (
    FeatureAblation,
    InputXGradient,
    KernelShap,
    LayerIntegratedGradients,
    Lime,
    NoiseTunnel,
    Saliency,
)
from tests.benchmarks.cases import Case

Run = tuple[Callable[[], object], float]
SAMPLE = 6  # tokens of a long text that stand for all of them
BATCHES = (1, 4, 16)


def forward(case: Case) -> Run:
    def run() -> None:
        with torch.no_grad():
            case.of_ids(case.ids)

    return run, 1


def forward_and_backward(case: Case) -> Run:
    def run() -> None:
        embeddings = case.embeddings()
        torch.autograd.grad(case.of_embeddings(embeddings).sum(), embeddings)

    return run, 1


def forward_for_each_token(case: Case) -> Run:
    places = torch.linspace(0, case.tokens - 1, min(SAMPLE, case.tokens)).long().tolist()

    def run() -> None:
        with torch.no_grad():
            for place in places:
                case.of_ids(torch.cat([case.ids[:, :place], case.ids[:, place + 1 :]], dim=1))

    return run, case.tokens / len(places)


def captum_ablation(case: Case) -> Run:
    ablation, group = FeatureAblation(case.of_ids), min(2 * SAMPLE, case.tokens) - 1
    features = torch.arange(case.tokens).clamp(max=group)[None]  # all tokens after the first ones count as one

    def run(batch: int) -> None:
        with torch.no_grad():
            ablation.attribute(case.ids, baselines=0, feature_mask=features, perturbations_per_eval=batch)

    return fastest(run), (case.tokens + 1) / (group + 2)


def captum_input_x_gradient(case: Case) -> Run:
    return lambda: InputXGradient(case.of_embeddings).attribute(case.embeddings()), 1


def captum_smooth_grad(case: Case) -> Run:
    tunnel = NoiseTunnel(Saliency(case.of_embeddings))

    def run(batch: int) -> None:
        options = dict(nt_type="smoothgrad", nt_samples=case.steps, nt_samples_batch_size=min(batch, case.steps))
        tunnel.attribute(case.embeddings(), stdevs=0.1, abs=False, **options)

    return fastest(run), 1


def captum_integrated_gradients(case: Case) -> Run:
    layer = case.model.get_input_embeddings()
    integrated = LayerIntegratedGradients(case.of_ids, layer)
    baseline = torch.full_like(case.ids, 3)

    def run(batch: int) -> None:
        integrated.attribute(case.ids, baseline, n_steps=case.steps, internal_batch_size=batch)

    return fastest(run), 1


def captum_lime(case: Case) -> Run:
    return _surrogate(case, Lime(case.of_ids))


def captum_kernel_shap(case: Case) -> Run:
    return _surrogate(case, KernelShap(case.of_ids))


def _surrogate(case: Case, method: Lime | KernelShap) -> Run:
    def run(batch: int) -> None:
        with torch.no_grad():
            method.attribute(case.ids, baselines=0, n_samples=case.coalitions, perturbations_per_eval=batch)

    return fastest(run), 1


def fastest(run: Callable[[int], None]) -> Callable[[], None]:
    """The run at the batch size that is fastest here, each tried once after a first one."""
    times = {}
    run(BATCHES[0])
    for batch in BATCHES:
        start = time.perf_counter()
        run(batch)
        times[batch] = time.perf_counter() - start
    best = min(times, key=times.get)
    return lambda: run(best)
