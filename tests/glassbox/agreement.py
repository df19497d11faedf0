"""Agreement with implementations that others wrote. Each comparison is a row of the table that the test run prints."""

import torch

ROWS: list[tuple[str, str, str, float, float]] = []


def agree(method: str, architecture: str, reference: str, ours, theirs, bound: float = 1e-5) -> None:
    """The largest difference, relative to the largest value of `theirs`, is at most `bound`."""
    ours, theirs = (torch.as_tensor(value, dtype=torch.float64) for value in (ours, theirs))
    assert ours.shape == theirs.shape, f"ours {tuple(ours.shape)}, {reference}'s {tuple(theirs.shape)}"
    largest = float(theirs.abs().max())
    assert largest > 0, f"{reference} gave nothing but zeros, which any method agrees with"
    difference = float((ours - theirs).abs().max()) / largest
    ROWS.append((method, architecture, reference, difference, bound))
    assert difference <= bound, f"{method} on {architecture}: {difference:.2g} away from {reference}, of {largest:.3g}"


def table() -> list[str]:
    """The rows, one line each, the largest difference of equal rows."""
    largest: dict[tuple[str, str, str], tuple[float, float]] = {}
    for *key, difference, bound in ROWS:
        largest[tuple(key)] = max(largest.get(tuple(key), (0.0, bound)), (difference, bound))
    return [
        f"{method:<28} {architecture:<24} {reference:<36} {difference:8.1e}  at most {bound:.0e}"
        for (method, architecture, reference), (difference, bound) in sorted(largest.items())
    ]
