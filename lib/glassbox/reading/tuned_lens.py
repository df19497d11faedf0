"""The tuned lens: what of a layer would the rest of the model make, if an affine map stood for it?

The logit lens reads each layer as if it spoke the last layer's language. The tuned lens gives each layer a translator:

    tuned_l(h) = W_U · norm(h + A_l h + b_l),     A_l, b_l = argmin E[ KL(p_L || softmax(tuned_l(h_l))) ]

p_L is the model's own distribution, so nothing but the model is asked for, and no text needs labels. At A = 0 and b = 0
it is the logit lens, which is where the training starts. Belrose et al. 2023, "Eliciting Latent Predictions from
Transformers with the Tuned Lens", section 3.

What it can't tell you: whether the model itself uses what the map finds. A trained map may read out what later layers
would have ignored, and it is only as good as the texts that it was trained on.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import kl_div
from torch.nn.utils.rnn import pad_sequence

from glassbox import bar
from glassbox.errors import InputError, ModelError
from glassbox.models import anatomy, place_of
from glassbox.residual import hidden_states, recorded
from glassbox.text import encode
from glassbox.trace import undisturbed

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

FILE = "tuned_lens.safetensors"


@dataclass(frozen=True, eq=False)
class TunedLens:
    """One affine map for each hidden state below the last; `logit_lens(..., lens=this)` reads through it.

    maps: A (layer, width, width); shifts: b (layer, width), both float32.
    fingerprint: of the weights of the model that it was trained for.
    """

    maps: torch.Tensor
    shifts: torch.Tensor
    fingerprint: str

    def __call__(self, layer: int, hidden: torch.Tensor) -> torch.Tensor:
        """Hidden state `layer` (..., width) in the last layer's language, in the precision that it came in."""
        return translated(hidden, self.maps[layer].to(hidden.device), self.shifts[layer].to(hidden.device))

    def check(self, model: PreTrainedModel) -> None:
        """ModelError if the model is not the one that this lens was trained for."""
        if fingerprint(model) != self.fingerprint:
            raise ModelError(
                "this tuned lens was trained for other weights than this model's, and would misread it; "
                "allowed: its own model, or a lens trained for this one with glassbox.tuned_lens.train"
            )

    def save(self, file: str | os.PathLike, dtype: torch.dtype = torch.float32) -> None:
        """Write the maps as safetensors; torch.float16 halves the file, since the maps are small corrections."""
        tensors = {"maps": self.maps.to(dtype).contiguous(), "shifts": self.shifts.to(dtype).contiguous()}
        part = Path(f"{os.fspath(file)}.part")  # whole or not at all
        save_file(tensors, part, metadata={"fingerprint": self.fingerprint})
        part.chmod(0o644)  # safetensors keeps its files from everybody else
        os.replace(part, file)

    def __repr__(self) -> str:
        layers, width = self.shifts.shape
        return f"TunedLens of {layers} layers, width {width}, for the model {self.fingerprint[:12]}"


def load(name: str | os.PathLike) -> TunedLens:
    """The tuned lens of "smallworld", of a folder that holds tuned_lens.safetensors, or in a file saved by `save`.

    Raises ModelError where there is none.
    """
    file = Path(name) if os.path.isfile(name) else Path(place_of(name)) / FILE
    try:
        with safe_open(file, "pt") as saved:
            return TunedLens(
                saved.get_tensor("maps").float(), saved.get_tensor("shifts").float(), saved.metadata()["fingerprint"]
            )
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise ModelError(f"there is no tuned lens in {str(file)!r}: {error}") from error


@torch.inference_mode(False)  # a tensor made in inference mode can take no part in a gradient
def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None,
    texts: Sequence[str | torch.Tensor],
    *,
    steps: int = 250,
    batch_size: int = 16,
    learning_rate: float = 1e-3,
    seed: int = 0,
    progress: bool = False,
) -> TunedLens:
    """Train a tuned lens for a decoder on texts (strings, or token ids (1, seq)); the model itself stays as it is.

    Each of the steps takes `batch_size` of the texts, drawn with the seed; the learning rate (Adam's) falls to zero
    along a line. progress: show a bar with the mean KL over the layers. Raises InputError for texts or numbers that
    can't be used, ModelError for a model that is no decoder of the anatomy's table.
    """
    parts = anatomy(model)
    if not model.can_generate():
        raise ModelError(f"{type(model).__name__} has no tuned lens; allowed: a decoder that predicts words")
    if not len(texts) or isinstance(texts, str):
        raise InputError(f"texts are {texts!r}; allowed: a list of texts, or of token ids (1, seq)")
    if min(steps, batch_size) < 1 or learning_rate <= 0:
        raise InputError("allowed: steps and batch_size of 1 or more, and a learning_rate above 0")
    ids = [encode(model, tokenizer, text)[0] for text in texts]
    width = model.config.hidden_size
    maps = [torch.zeros(width, width, device=model.device, requires_grad=True) for _ in parts.blocks]
    shifts = [torch.zeros(width, device=model.device, requires_grad=True) for _ in parts.blocks]
    optimiser = torch.optim.Adam([*maps, *shifts], lr=learning_rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total_iters=steps)
    draw = torch.Generator().manual_seed(seed)
    with undisturbed(model):
        for _ in (shown := bar.progress(range(steps), unit="steps", show=progress)):
            chosen = torch.randint(len(ids), (batch_size,), generator=draw).tolist()
            states, final = _run(model, parts.blocks, [ids[number] for number in chosen])
            total = 0.0
            for hidden, map_, shift in zip(states, maps, shifts, strict=True):
                with torch.enable_grad():
                    logits = parts.head(translated(hidden[None], map_, shift))[0]  # (token, vocabulary)
                    loss = kl_div(logits.float().log_softmax(-1), final, reduction="batchmean", log_target=True)
                    # loss.backward() would work out the gradients of the model's own head as well.
                    map_.grad, shift.grad = torch.autograd.grad(loss, (map_, shift))
                total += loss.item() / len(maps)
            optimiser.step()
            schedule.step()
            shown.set_postfix(KL=f"{total:.4f}")
        return TunedLens(torch.stack(maps).detach().cpu(), torch.stack(shifts).detach().cpu(), fingerprint(model))


def _run(
    model: PreTrainedModel, blocks: list[nn.Module], texts: list[torch.Tensor]
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Hidden states 0 to L - 1 of all tokens (token, width), and the model's log-probabilities (token, vocabulary)."""
    ids = pad_sequence(texts, batch_first=True)  # (text, seq); what stands on the right, a decoder's tokens never see
    real = pad_sequence([torch.ones_like(text) for text in texts], batch_first=True)  # (text, seq)
    with torch.no_grad(), recorded(blocks) as seen:
        logits = model(input_ids=ids, attention_mask=real, use_cache=False).logits  # (text, seq, vocabulary)
    hidden = hidden_states(blocks, seen)[:-1]
    return [state[real.bool()] for state in hidden], logits[real.bool()].float().log_softmax(-1)


def translated(hidden: torch.Tensor, map_: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """h + A h + b, added up in float32 at least."""
    full = hidden.to(torch.promote_types(hidden.dtype, torch.float32))  # (..., width)
    return (full + full @ map_.T.to(full) + shift.to(full)).to(hidden.dtype)


def fingerprint(model: PreTrainedModel) -> str:
    """Names, shapes and a thousand evenly spaced numbers of each parameter, as one hash.

    Numbers are read as float32, so that a model loaded in full precision is the one that was stored in half.
    """
    digest = hashlib.sha256()
    for name, parameter in model.named_parameters():
        values = parameter.detach().flatten()
        sample = values[:: max(1, len(values) // 1000)].float().cpu()
        digest.update(f"{name} {tuple(parameter.shape)}".encode())
        digest.update(sample.numpy().tobytes())
    return digest.hexdigest()
