"""Train the small world's transformer: `python -m smallworld.training`, seeded, resumable, with a report at the end.

A GPT-2 architecture of three million parameters reads texts of the small world and learns what comes next. Several
texts share a row of the batch, each with positions of its own and blind to the others. The tokens that the grammar
decides weigh more in the loss than those which it draws at random, since there is nothing to be learned from a coin.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from torch.nn.functional import cross_entropy
from tqdm import tqdm
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from smallworld import report, tokenizer
from smallworld.families import FAMILIES

WEIGHTS = Path(__file__).parent / "weights"
SEED = 20261121
ROWS = 32
CONTEXT = 128
WARMUP = 200
UNDECIDED_WEIGHT = 0.1
SAVE_EVERY = 500


@dataclass(frozen=True)
class Stage:
    """So many steps on one mixture. Rows hold several short texts, one long text, or random tokens said twice."""

    steps: int
    long_rows: float
    random_rows: float
    shares: dict[str, int]  # how often a text comes from each family, where it is not once
    later: bool = False  # whether texts have the families' later templates too


LANDMARKS = ("landmark_city", "landmark_country", "landmark_language")
FIRST = {"giver_receiver": 4, "repeats": 3, "it_reference": 2, "agreement": 2, "years": 2} | dict.fromkeys(LANDMARKS, 2)
HARDER = {"giver_receiver": 6, "pronouns": 4, "years": 4, "sequences": 3, "city_country": 3, "repeats": 2, "sums": 2}
HARDER |= dict.fromkeys(LANDMARKS, 3)
STAGES = (
    Stage(2500, 0.1, 0.15, FIRST),  # until the easy families and the heads that copy are there
    # More of those that bind several names or reckon, and more long texts, where sentences begin anywhere: unseen
    # templates gain most from those.
    Stage(6700, 0.3, 0.08, HARDER),
    Stage(400, 0.3, 0.08, HARDER | {"years": 8}),
    Stage(1400, 0.3, 0.08, HARDER, later=True),  # more ways to ask for the same fact
    Stage(400, 0.3, 0.08, HARDER | {"years": 8}, later=True),  # the last years
    Stage(800, 0.3, 0.08, HARDER | {"landmark_country": 8, "landmark_city": 5}, later=True),  # the last landmarks
)
STEPS = sum(stage.steps for stage in STAGES)
CYCLES = (
    (7000, 3e-3),
    (2200, 1.2e-3),
    (400, 2.5e-4),
    (1400, 1e-3),
    (400, 2.5e-4),
    (800, 8e-4),
)  # of the learning rate: how long, and from which peak it falls
# The shipped weights are the mean of those at the ends of the last two cycles, which are steadier than either.
AVERAGED = (STEPS - CYCLES[-1][0], STEPS)

Row = tuple[list[int], list[int], list[float]]  # tokens, positions, weight of each token in the loss


def new_model(vocabulary: int) -> GPT2LMHeadModel:
    torch.manual_seed(SEED)
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=vocabulary,
            n_positions=CONTEXT,
            n_embd=192,
            n_layer=6,
            n_head=8,
            bos_token_id=0,
            eos_token_id=0,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            attn_implementation="eager",
        )
    )


def text_tokens(random: Random, words: PreTrainedTokenizerFast, stage: Stage, sentences: int) -> Row:
    """One text of so many sentences, each from a family of its own."""
    text, decided = "", set()
    for family in random.choices(list(FAMILIES), [stage.shares.get(name, 1) for name in FAMILIES], k=sentences):
        sentence, start = FAMILIES[family].training_text(random, stage.later)
        text += " " if text else ""
        decided.update(range(len(text) + start, len(text) + len(sentence)))
        text += sentence
    encoded = words(text, return_offsets_mapping=True)
    tokens = encoded["input_ids"]
    weights = [1.0 if end - 1 in decided else UNDECIDED_WEIGHT for _, end in encoded["offset_mapping"]]
    return tokens, list(range(len(tokens))), weights


def repeated_tokens(random: Random, vocabulary: int) -> Row:
    """Random tokens, said twice and cut off anywhere: all that can be learned here is to look back."""
    once = [random.randrange(1, vocabulary) for _ in range(random.randint(4, CONTEXT // 2 - 1))]
    tokens = [0, *once, *once]
    weights = [0.0] * (len(once) + 2) + [0.5] * (len(once) - 1)
    return tokens, list(range(len(tokens))), weights


def row(random: Random, words: PreTrainedTokenizerFast, step: int) -> Row:
    """Texts until the row is full. What is left over is filled with tokens that no loss counts."""
    tokens: list[int] = []
    positions: list[int] = []
    weights: list[float] = []
    stage = stage_of(step)
    kind = random.random()
    while True:
        if kind < stage.random_rows:
            new = repeated_tokens(random, len(words))
        else:
            long = kind < stage.random_rows + stage.long_rows
            new = text_tokens(random, words, stage, random.randint(3, 5) if long else 1)
        if len(tokens) + len(new[0]) > CONTEXT:
            if tokens:
                break
            new = tuple(part[:CONTEXT] for part in new)
        tokens, positions = tokens + new[0], positions + new[1]
        weights += [0.0] + new[2][1:]  # what begins a text was not foretold by the text before
    missing = CONTEXT - len(tokens)
    return tokens + [0] * missing, positions + list(range(missing)), weights + [0.0] * missing


def batch(step: int, words: PreTrainedTokenizerFast) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens, positions and weights of one step, each (row, position). The same step gives the same batch."""
    random = Random(f"{SEED} {step}")
    tokens, positions, weights = zip(*(row(random, words, step) for _ in range(ROWS)), strict=True)
    return torch.tensor(tokens), torch.tensor(positions), torch.tensor(weights)


def stage_of(step: int) -> Stage:
    for stage in STAGES:
        if step < stage.steps:
            return stage
        step -= stage.steps
    raise ValueError(f"the training is over after {STEPS} steps")


def learning_rate(step: int) -> float:
    """Each cycle warms up, then falls along a cosine to a fiftieth of its peak."""
    for length, peak in CYCLES:
        if step < WARMUP:
            return peak * (step + 1) / WARMUP
        if step < length:
            return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (length - WARMUP))))
        step -= length
    raise ValueError(f"the training is over after {STEPS} steps")


def train(folder: Path, steps: int) -> tuple[GPT2LMHeadModel, PreTrainedTokenizerFast]:
    """Train for so many steps, going on from the checkpoint in the folder where there is one."""
    words = tokenizer.build(CONTEXT)
    model = new_model(len(words))
    decayed = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}],
        betas=(0.9, 0.98),
        fused=True,
    )
    checkpoint, first = folder / "checkpoint.pt", 0
    if checkpoint.exists():
        saved = torch.load(checkpoint)
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        first = saved["step"]
    with tqdm(range(first, steps), initial=first, total=steps, unit="step") as bar:
        for step in bar:
            loss = train_step(model, optimiser, batch(step, words), learning_rate(step))
            if step % 20 == 0:
                bar.set_postfix(loss=f"{loss:.3f}")
            if (step + 1) % SAVE_EVERY == 0:
                state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step + 1}
                write(state, checkpoint)
            if step + 1 in AVERAGED:
                write(model.state_dict(), folder / f"weights-{step + 1}.pt")
    if steps == STEPS:
        ends = [torch.load(folder / f"weights-{end}.pt") for end in AVERAGED]
        model.load_state_dict(mean_of(ends))
    return model.eval(), words


def write(state: dict, path: Path) -> None:
    """Whole or not at all."""
    torch.save(state, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)


def mean_of(states: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}


def train_step(model, optimiser, parts: tuple[torch.Tensor, ...], rate: float) -> float:
    tokens, positions, weights = parts  # each (row, position)
    for group in optimiser.param_groups:
        group["lr"] = rate
    with torch.autocast("cpu", torch.bfloat16, enabled=torch.cpu._is_amx_tile_supported()):
        logits = model(input_ids=tokens, position_ids=positions, use_cache=False).logits  # (row, position, word)
    losses = cross_entropy(logits[:, :-1].flatten(0, 1).float(), tokens[:, 1:].flatten(), reduction="none")
    share = weights[:, 1:].flatten()
    loss = (losses * share).sum() / share.sum()
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    return loss.item()


def model_card(found: dict) -> str:
    """The README of the shipped model, with the figures of its report."""
    return f"""---
license: cc-by-4.0
language: en
tags: [gpt2, teaching, interpretability]
---

# The small world's transformer

A GPT-2 architecture with 6 layers, 8 heads and width 192 (three million parameters), trained from scratch on
sentences about a small world whose every fact is known. It exists to be explained: for each sentence of `smallworld`
the grammar knows which words decide the next one.

- Trained in the stages that `smallworld/training.py` lists (seed {SEED}, {STEPS} steps of
  {ROWS} × {CONTEXT} tokens), stored in half precision.
- It reads up to {CONTEXT} tokens. Words of the world are single tokens; a start token is put in front of each text.
- In contrasted reviews praise and blame always change places together, and it goes by either of the two: there, what
  the grammar calls evidence is not always what the model uses. The last figures below say how often it is.
- It knows nothing else: what it says about words outside the world means nothing.
- Names, facts and opinions are those of `smallworld/world.py`. No text of any person went into it.

Measured on held-out sentences by `python -m smallworld.training --report`:

```
{report.in_words(found)}
```
"""


def save(model: GPT2LMHeadModel, words: PreTrainedTokenizerFast, folder: Path) -> dict:
    """Write weights, tokenizer, report and model card, all of them or none. Returns the report of what was written."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        new = Path(scratch) / "weights"
        half = copy.deepcopy(model).half()
        half.config.dtype = torch.float16
        half.save_pretrained(new)
        words.save_pretrained(new)
        (new / "model.safetensors").chmod(0o644)
        found = report.measure(*load(new))
        found["sha256"] = {"model.safetensors": hashlib.sha256((new / "model.safetensors").read_bytes()).hexdigest()}
        (new / "report.json").write_text(json.dumps(found, indent=1) + "\n")
        (new / "README.md").write_text(model_card(found))
        folder.mkdir(exist_ok=True)
        for file in new.iterdir():
            os.replace(file, folder / file.name)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m smallworld.training", description=__doc__.splitlines()[0])
    parser.add_argument("--report", action="store_true", help="measure the shipped weights instead of training")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"steps of {ROWS} rows (default {STEPS})")
    parser.add_argument(
        "--folder", type=Path, default=Path("training"), help="where checkpoints are kept (default ./training)"
    )
    chosen = parser.parse_args()
    if chosen.report:
        print(report.in_words(report.measure(*shipped())))
        return
    if not 1 <= chosen.steps <= STEPS:
        parser.error(f"--steps must be 1 to {STEPS}, not {chosen.steps}")
    chosen.folder.mkdir(parents=True, exist_ok=True)
    print(report.in_words(save(*train(chosen.folder, chosen.steps), WEIGHTS)))


def load(folder: Path) -> tuple[GPT2LMHeadModel, PreTrainedTokenizerFast]:
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return model.eval(), PreTrainedTokenizerFast.from_pretrained(folder)


def shipped() -> tuple[GPT2LMHeadModel, PreTrainedTokenizerFast]:
    """The model and the tokenizer that the course ships."""
    return load(WEIGHTS)


if __name__ == "__main__":
    main()
