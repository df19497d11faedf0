"""What a case is: what is handed in, what it deserves, and what the instructor should read about it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

RIGHT = {
    "fuse-heads": "def fuse_heads(attention, how):\n"
    "    return {'mean': attention.mean, 'max': attention.amax, 'min': attention.amin}[how](0)",
    "add-residual": "def add_residual(fused, residual_weight=0.5):\n"
    "    mixed = (1 - residual_weight) * fused + residual_weight * torch.eye(len(fused), dtype=fused.dtype)\n"
    "    return mixed / mixed.sum(-1, keepdim=True)",
    "answer-why-identity": 'answer_why_identity = "b"',
    "rollout": "def rollout(attentions, residual_weight=0.5, fuse='mean'):\n"
    "    flow = torch.eye(attentions[0].shape[-1], dtype=attentions[0].dtype)\n"
    "    for layer in attentions:\n"
    "        fused = {'mean': layer.mean, 'max': layer.amax, 'min': layer.amin}[fuse](0)\n"
    "        mixed = (1 - residual_weight) * fused + residual_weight * torch.eye(len(fused), dtype=fused.dtype)\n"
    "        flow = mixed / mixed.sum(-1, keepdim=True) @ flow\n"
    "    return flow",
}
POINTS = {"fuse-heads": 10, "add-residual": 15, "answer-why-identity": 5, "rollout": 15}
FULL = sum(POINTS.values())
WRONG = "def fuse_heads(attention, how):\n    return attention[0]"


@dataclass(frozen=True)
class Case:
    """One submission. `change` may do what it likes to the list of cells of the notebook, as JSON."""

    name: str
    family: str
    deserved: float
    answers: dict[str, str]
    extras: tuple[tuple[str, str], ...] = ()
    change: Callable[[dict[str, Any]], Any] = field(default=lambda notebook: None, repr=False)
    note: str = ""
    student: str = ""
    at_most: bool = False  # who breaks the connection to the grader may lose the marks of right answers, too


CASES: list[Case] = []


def fuse(family: str, name: str, source: str, deserved: float = FULL - 10, note: str = "", **more: Any) -> None:
    """All answers are right but the first, which is `source`: it deserves nothing, and the others what they did."""
    add(family, name, deserved, RIGHT | {"fuse-heads": source}, note=note, **more)


def extra(family: str, name: str, source: str, deserved: float = FULL - 10, note: str = "", **more: Any) -> None:
    """The first answer is wrong, and a cell of the student's own in front of it tries to make up for that."""
    add(family, name, deserved, RIGHT | {"fuse-heads": WRONG}, (("", source),), note=note, **more)


def add(family: str, name: str, deserved: float, answers: dict[str, str], extras: tuple = (), **more: Any) -> None:
    CASES.append(Case(name, family, deserved, answers, extras, **more))
