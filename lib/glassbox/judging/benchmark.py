"""A leaderboard: which method explains best, on sentences whose evidence is known?

Each method explains the answer of each sentence, and each explanation is judged on its own:

    top1_hit, auroc, average_precision   does it point at the evidence? (`glassbox.plausibility`)
    comprehensiveness, sufficiency       does the model need those tokens, and are they enough? AOPC over shares
                                         (`glassbox.faithfulness`)
    seconds                              what the explanation took, on this machine and beside whatever else it did

A method's number is the mean over the sentences, with a bootstrap interval over the sentences. Neither their order nor
that of the methods changes any number but the seconds. To ask whether two methods differ, give their columns of
`measure` to `glassbox.statistics.permutation_test`: they are for the same sentences, and the intervals don't know that.

What it cannot tell you: which method is right on your model and your texts. Evidence here is what decides the answer by
the grammar; a model may use something else, and then a good explanation of it scores badly. Of sufficiency less is
better, of all others more. Read all numbers beside those of "random".
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import torch

from glassbox import bar
from glassbox.errors import InputError
from glassbox.judging.comparison import Chosen, labelled
from glassbox.judging.faithfulness import faithfulness, question_of
from glassbox.judging.plausibility import plausibility
from glassbox.judging.results_file import ResultsFile
from glassbox.judging.statistics import bootstrap_interval
from glassbox.methods import explain
from glassbox.question import Question
from glassbox.removal import removable

if TYPE_CHECKING:
    from pandas import DataFrame
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MEASURES = ("top1_hit", "auroc", "average_precision", "comprehensiveness", "sufficiency")


class Sentence(Protocol):
    """A prompt, the token that should follow it, and the places (start, end) in the prompt of what decides it."""

    prompt: str
    answer: str
    evidence: Sequence[tuple[int, int]]

    def mask(self, tokenizer: PreTrainedTokenizerBase, spans: Sequence[tuple[int, int]]) -> Sequence[bool]:
        """For each token of the prompt: does it stand in one of the spans?"""


def benchmark(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sentences: Iterable[Sentence],
    methods: Chosen,
    *,
    of: str = "logit",
    how: str = "delete",
    replacement: str | int | None = None,
    resume: str | os.PathLike | None = None,
    progress: bool = True,
) -> DataFrame:
    """Which method explains the answers of these sentences best? One row for each method, see `leaderboard`.

    methods:           names from METHODS; for one with options, a pair: ("lrp", {"rule": "cp"}).
    of:                what is explained of the answer, "logit", "logprob" or "prob".
    how, replacement:  how faithfulness removes tokens, as in `glassbox.removal.values_without`.
    resume:            a file that keeps what is finished, and goes on from it when the call is made again, also with
                       more methods. One made from another model, other sentences or other options is refused.
    progress:          show a bar.
    """
    options = {"of": of, "how": how, "replacement": replacement, "resume": resume, "progress": progress}
    return leaderboard(measure(model, tokenizer, sentences, methods, **options))


def leaderboard(measured: DataFrame) -> DataFrame:
    """One row for each method; columns (measure, "mean" | "low" | "high"), and ("seconds", "mean").

    low and high bound the mean over all such sentences, 95 %. measured: as `measure` gives it.
    """
    import pandas as pd

    rows = {}
    for method, found in measured.groupby("method", sort=False):
        row: dict[tuple[str, str], float] = {}
        for name in MEASURES:
            # Sorted, because the last digits of a sum depend on the order.
            values = torch.tensor(sorted(found[name].tolist()), dtype=torch.float64)
            low, high = bootstrap_interval(values)
            row |= {(name, "mean"): float(values.mean()), (name, "low"): low, (name, "high"): high}
        rows[method] = row | {("seconds", "mean"): float(found["seconds"].mean())}
    board = pd.DataFrame.from_dict(rows, orient="index")
    board.columns = pd.MultiIndex.from_tuples(board.columns)
    return board.rename_axis(index="method")


def measure(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sentences: Iterable[Sentence],
    methods: Chosen,
    *,
    of: str = "logit",
    how: str = "delete",
    replacement: str | int | None = None,
    resume: str | os.PathLike | None = None,
    progress: bool = True,
) -> DataFrame:
    """What each method scores on each sentence: one row for each of both. Arguments: those of `benchmark`."""
    import pandas as pd

    sentences, calls = list(sentences), labelled(methods)
    if not sentences:
        raise InputError("there is no sentence; give at least one")
    evidence = [_evidence(model, tokenizer, sentence) for sentence in sentences]
    keys = [
        _fingerprint(tokenizer(sentence.prompt)["input_ids"], sentence.answer, mask)
        for sentence, mask in zip(sentences, evidence, strict=True)
    ]
    made_from = {
        "model": _fingerprint_of_model(model),
        "set of sentences": _fingerprint(sorted(set(keys))),
        "set of options": _fingerprint(of, how, replacement),
        "version of glassbox": _fingerprint_of_code(),
    }
    results = ResultsFile(resume, made_from)
    rows = []
    with bar.progress(total=len(sentences) * len(calls), unit="explanations", show=progress) as shown:
        for number, (sentence, key, mask) in enumerate(zip(sentences, keys, evidence, strict=True)):
            for label, call in calls.items():
                if (key, label) not in results:
                    results.add((key, label), _judge(model, tokenizer, sentence, mask, call, of, how, replacement))
                rows.append({"sentence": number, "method": label, **results[key, label]})
                shown.update()
    return pd.DataFrame(rows)


def _judge(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sentence: Sentence,
    evidence: list[bool],
    call: tuple[str, Mapping[str, Any]],
    of: str,
    how: str,
    replacement: str | int | None,
) -> dict[str, float]:
    method, options = call
    start = perf_counter()
    attribution = explain(model, tokenizer, sentence.prompt, method=method, target=sentence.answer, of=of, **options)
    seconds = perf_counter() - start
    words = removable(question_of(model, tokenizer, attribution))  # (seq,)
    found = asdict(plausibility(attribution.scores, torch.tensor(evidence), words))
    faithful = faithfulness(model, tokenizer, attribution, k=(), how=how, replacement=replacement)
    found |= {
        "comprehensiveness": faithful.aopc_comprehensiveness,
        "sufficiency": faithful.aopc_sufficiency,
        "seconds": seconds,
    }
    return {name: found[name] for name in (*MEASURES, "seconds")}


def _evidence(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, sentence: Sentence) -> list[bool]:
    """For each token of the prompt, is it evidence? Checked first: no hour's work should end at the last sentence."""
    mask = [bool(mark) for mark in sentence.mask(tokenizer, sentence.evidence)]
    words = removable(Question.ask(model, tokenizer, sentence.prompt, sentence.answer, None, -1, "logit")).tolist()
    of_words = {mark for mark, word in zip(mask, words, strict=False) if word}
    if len(mask) != len(words) or of_words != {True, False}:
        raise InputError(
            f"the evidence of {sentence.prompt!r} marks {sum(mask)} of {len(words)} tokens, in {len(mask)} entries; "
            "allowed: an entry for each token, and some words marked, but not all"
        )
    return mask


def _fingerprint(*things: Any) -> str:
    return sha256(json.dumps(things).encode()).hexdigest()


def _fingerprint_of_model(model: PreTrainedModel) -> str:
    digest = sha256(model.config.to_json_string().encode())
    for name, weight in model.state_dict().items():
        digest.update(name.encode())
        digest.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _fingerprint_of_code() -> str:
    library = Path(__file__).parents[1]
    return _fingerprint([file.read_text(encoding="utf-8") for file in sorted(library.rglob("*.py"))])
