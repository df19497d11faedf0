"""A network small enough to see through: it reads 8×8 images of handwritten digits.

Before an explanation method meets a transformer, it can be tried where its result is a picture: which pixels made this
a three? The network has three linear layers with biases and two ReLUs, and nothing else, so that every rule of
layer-wise relevance propagation that it needs fits on one page (Bach et al. 2015). The images are the ones that
scikit-learn brings along; a fifth of them is held out.

    python -m smallworld.digits            # trains it again, in seconds, and writes the weights and their report
"""

import hashlib
import json
import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import nn

WEIGHTS = Path(__file__).parent / "weights" / "digits"
HELD_OUT = 360  # images, of 1797
SEED = 0


def network() -> nn.Sequential:
    """The untrained network: (batch, 64) pixels between 0 and 1 to (batch, 10) logits, one for each digit."""
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def split() -> tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """(images, labels) to train on and (images, labels) held out; images (n, 8, 8) in 0 to 1, labels (n,).

    The held-out images are the last ones of the set, which other people wrote: an honest test of new handwriting.
    """
    from sklearn.datasets import load_digits

    bundled = load_digits()
    images = torch.tensor(bundled.images, dtype=torch.float32) / 16  # (1797, 8, 8)
    labels = torch.tensor(bundled.target)  # (1797,)
    return (images[:-HELD_OUT], labels[:-HELD_OUT]), (images[-HELD_OUT:], labels[-HELD_OUT:])


def load() -> tuple[nn.Sequential, torch.Tensor, torch.Tensor]:
    """The trained network in evaluation mode, the held-out images (360, 8, 8), and their labels (360,).

    The network reads flat images: `model(images.flatten(1))` gives the logits (360, 10). Raises FileNotFoundError
    when the weights are missing.
    """
    model = network()
    model.load_state_dict(load_file(WEIGHTS / "model.safetensors"))
    _, (images, labels) = split()
    return model.eval(), images, labels


def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of images that the model names rightly."""
    with torch.no_grad():
        named = model(images.flatten(1)).argmax(dim=-1)  # (image,)
    return (named == labels).float().mean().item()


def _as_if_others_wrote_them(images: torch.Tensor) -> torch.Tensor:
    """The images (n, 8, 8), each turned, scaled and moved (up to 14°, 15 % and half a pixel), and speckled."""
    n = len(images)
    angle, scale = 0.5 * (torch.rand(n) - 0.5), 1 + 0.3 * (torch.rand(n) - 0.5)
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    move = (torch.rand(n, 2) - 0.5) / 4  # in units of half an image, four pixels
    transform = torch.stack([cosine, -sine, move[:, 0], sine, cosine, move[:, 1]], dim=1).view(n, 2, 3)
    grid = nn.functional.affine_grid(transform, [n, 1, 8, 8], align_corners=False)  # (n, 8, 8, 2)
    moved = nn.functional.grid_sample(images[:, None], grid, align_corners=False)[:, 0]  # (n, 8, 8)
    return moved + 0.1 * torch.randn_like(moved)


def train(seed: int = SEED) -> nn.Sequential:
    """A network trained on all images but the held-out ones; the same seed gives the same network."""
    epochs, batch_size, top_rate = 100, 64, 1e-2
    (images, labels), _ = split()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = network()
        optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
        steps = epochs * -(-len(labels) // batch_size)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, top_rate, total_steps=steps)
        for _ in range(epochs):
            for batch in torch.randperm(len(labels)).split(batch_size):
                logits = model(_as_if_others_wrote_them(images[batch]).flatten(1))  # (image, digit)
                optimizer.zero_grad()
                nn.functional.cross_entropy(logits, labels[batch], label_smoothing=0.05).backward()
                optimizer.step()
                schedule.step()
    return model.eval()


def main() -> None:
    """Train the network; write the weights and a report, each whole or not at all."""
    model = train()
    (images, labels), (held_out, held_out_labels) = split()
    weights = save(model.state_dict())
    report = {
        "seed": SEED,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "training_images": len(labels),
        "training_accuracy": round(accuracy(model, images, labels), 4),
        "held_out_images": len(held_out_labels),
        "held_out_accuracy": round(accuracy(model, held_out, held_out_labels), 4),
        "sha256": {"model.safetensors": hashlib.sha256(weights).hexdigest()},
    }
    report_text = json.dumps(report, indent=2) + "\n"
    WEIGHTS.mkdir(parents=True, exist_ok=True)
    for name, content in {"model.safetensors": weights, "report.json": report_text.encode()}.items():
        half_written = WEIGHTS / f"{name}.part"
        half_written.write_bytes(content)
        os.replace(half_written, WEIGHTS / name)
    print(report_text, end="")


if __name__ == "__main__":
    main()
