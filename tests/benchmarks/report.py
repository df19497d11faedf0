"""The measured ratios as a page of the book and as a table in the README."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import torch
from tests.benchmarks.cases import LENGTHS
from tests.benchmarks.comparisons import BACK, COMPARISONS, Comparison
from tests.benchmarks.measuring import machine
from tests.references import record

Measured = dict[tuple[str, Comparison, int], float]
NAMES = ("small world", "MiniLM", "GPT-2 small")

INTRODUCTION = """# How fast the methods are

What a method costs is best said beside something else that is done with the same model and the same text. Each number
below is a ratio of two times, measured in turns in one process; below one, ours is the faster. A **bold** number misses
what we aim at. `python -m tests.benchmarks` measures everything again and writes this page.

Measured on {machine}

- *A pass for each token* runs the model once for each token, on the text without it. *captum* is the same question
  asked of captum's class for it, at the fastest of three batch sizes.
- captum's ablation and the passes for each token are measured on some of a text's tokens and multiplied. So is
  leave-one-out with 512 tokens on a model of GPT-2 small's size: on 64 tokens in four places.
- Integrated gradients and SmoothGrad take {steps} points in texts of {lengths} tokens, LIME and KernelSHAP ask
  about twice as many coalitions as there are tokens; captum the same.
- All models compute attention weights one by one ("eager"), as every model does that `glassbox.load` has loaded.
- *lxt* can't be measured in the same process, because it replaces parts of transformers for good. Its time beside
  a forward and backward pass comes from a process of its own, and the two ratios are divided.
"""


def page(measured: Measured, leave_one_out: dict[str, float], rollout: dict[int, tuple[float, float]]) -> str:
    steps, lengths = _listed(("20", "10", "4")), _listed(map(str, LENGTHS))
    parts = [INTRODUCTION.format(machine=description(), steps=steps, lengths=lengths)]
    for name in NAMES:
        parts.append(f"## {TITLES[name]}\n\n" + "\n".join(table(measured, name)))
    parts.append("## Where we lose\n\n" + "\n".join(lost(measured)))
    parts.append(MEMORY.format(passes=_rows(leave_one_out), layers=_layers(rollout)))
    return "\n\n".join(parts) + "\n"


TITLES = {
    "small world": "The small world's model",
    "MiniLM": "MiniLM, an encoder of six layers",
    "GPT-2 small": "A random model of GPT-2 small's size",
}

MEMORY = """## Memory

By how much the process grows at most, with 512 tokens and a model of GPT-2 small's size:

| what runs | MB |
| --- | ---: |
{passes}

Rollout takes one layer's weights at a time, so it does not matter how many layers there are. Asking transformers for
all attention weights keeps them all:

| layers | rollout, MB | all weights, MB |
| ---: | ---: | ---: |
{layers}"""


def description() -> str:
    """The machine and the versions, in words."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "captum"))
    threads = torch.get_num_threads()
    cores = f"{threads} thread{'' if threads == 1 else 's'} on {os.cpu_count()} cores"
    return f"{machine()}, {cores}, {platform.system()}, Python {platform.python_version()}, {packages}."


def table(measured: Measured, name: str) -> Iterator[str]:
    """The rows of one model's table."""
    lengths = [tokens for tokens in LENGTHS if any(key[0] == name and key[2] == tokens for key in measured)]
    yield "| method | beside | aim | " + " | ".join(f"{tokens} tokens" for tokens in lengths) + " |"
    yield "| --- | --- | ---: |" + " ---: |" * len(lengths)
    for comparison, ratios in rows(measured, name):
        aim = f"{comparison.aim:g}" if comparison.aim else ""
        cells = [_cell(ratios.get(tokens), comparison.aim) for tokens in lengths]
        yield f"| {comparison.name} | {comparison.beside} | {aim} | " + " | ".join(cells) + " |"


def rows(measured: Measured, name: str) -> Iterator[tuple[Comparison, dict[int, float]]]:
    """Each comparison on one model with its ratios by length, and after the pass for LRP also lxt."""
    for comparison in COMPARISONS:
        ratios = {key[2]: ratio for key, ratio in measured.items() if key[:2] == (name, comparison)}
        if ratios:
            yield comparison, ratios
        if comparison.name == "lrp" and comparison.beside == BACK:
            lxt = record.recorded("lxt_speed")
            beside = {tokens: float(lxt[key]) for tokens in ratios if (key := f"{name}/{tokens}") in lxt}
            if beside:
                yield (
                    replace(comparison, beside="lxt, in a process of its own", aim=1),
                    {tokens: ratios[tokens] / other for tokens, other in beside.items()},
                )


def lost(measured: Measured) -> Iterator[str]:
    """One line for each method that misses its aim somewhere."""
    missed = False
    for name in NAMES:
        for comparison, ratios in rows(measured, name):
            places = [f"{ratio:.2f} at {tokens}" for tokens, ratio in ratios.items() if _misses(ratio, comparison.aim)]
            if places:
                missed = True
                aim = f"aim {comparison.aim:g}"
                yield f"- {name}, {comparison.name} beside {comparison.beside} ({aim}): {', '.join(places)} tokens."
    if not missed:
        yield "Nowhere, as far as we have set ourselves an aim."


def into_readme(file: Path, measured: Measured) -> None:
    """Put the largest model's table between the two marks that the README has for it."""
    begin, end = "<!-- benchmarks -->", "<!-- /benchmarks -->"
    before, _, rest = file.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    shown = {key: ratio for key, ratio in measured.items() if key[1].aim}
    lines = [begin, "", *table(shown, "GPT-2 small"), "", f"Measured on {description()}", end]
    file.write_text(before + "\n".join(lines) + after, encoding="utf-8")


def _cell(ratio: float | None, aim: float | None) -> str:
    if ratio is None:
        return ""
    number = f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"
    return f"**{number}**" if _misses(ratio, aim) else number


def _misses(ratio: float, aim: float | None) -> bool:
    return aim is not None and ratio > aim


def _rows(found: dict[str, float]) -> str:
    return "\n".join(f"| {name} | {size / 1e6:.0f} |" for name, size in found.items())


def _layers(found: dict[int, tuple[float, float]]) -> str:
    return "\n".join(f"| {layers} | {ours / 1e6:.0f} | {all_ / 1e6:.0f} |" for layers, (ours, all_) in found.items())


def _listed(words) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}"
