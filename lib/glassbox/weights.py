"""What counts as attention weights: their shape, their rows, and which of their entries a mask allows."""

import torch

from glassbox.errors import InputError

# Wide enough for weights that were rounded to bfloat16; a row that dropout touched is off by far more.
_TOLERANCE = 1e-2
NO_WEIGHTS = (
    "there are no attention weights: only eager attention keeps them. Load the model with glassbox.load(name), or with "
    "from_pretrained(name, attn_implementation='eager'), and run it with output_attentions=True"
)


def checked_weights(
    layer: torch.Tensor, number: int, attention_mask: torch.Tensor | None = None, below: torch.Tensor | None = None
) -> torch.Tensor:
    """One layer's weights (batch, head, query, key), at least float32, padding looking at itself; or what is wrong."""
    where = f"the attention weights of layer {number}"
    if layer is None:
        raise InputError(NO_WEIGHTS)
    try:
        weights = torch.as_tensor(layer)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"{where} are a {type(layer).__name__}; allowed: a tensor (batch, head, query, key)") from None
    if weights.ndim != 4 or weights.shape[2] != weights.shape[3] or not weights.numel():
        hint = "; wrap a single layer in a list" if weights.ndim == 3 else ""
        raise InputError(f"{where} have the shape {tuple(weights.shape)}; allowed: (batch, head, seq, seq){hint}")
    batch, _, seq, _ = weights.shape
    if below is not None and below.shape != (batch, seq, seq):
        before = f"{below.shape[0]} texts of {below.shape[1]} tokens"
        raise InputError(f"{where} are for {batch} texts of {seq} tokens after {before}; allowed: one batch throughout")
    if weights.dtype != torch.float64:
        weights = weights.float()
    if attention_mask is not None:
        weights = _keep_padding_apart(weights, attention_mask, where)
    sums = weights.sum(dim=-1)  # (batch, head, query)
    if not sums.isfinite().all():  # one number that is not finite makes its row's sum so
        raise InputError(f"{where} are not finite (nan or infinite): look at the model's weights")
    error = float((sums - 1).abs().max())
    if weights.min() < 0 or error > _TOLERANCE:
        found = f"lowest {float(weights.min()):.2g}, a row's sum misses one by {error:.2g}"
        allowed = "what the softmax gives in evaluation mode, query before key, so that each row sums to one"
        raise InputError(f"{where} are no weights ({found}); allowed: {allowed}")
    return weights


def _keep_padding_apart(weights: torch.Tensor, attention_mask: torch.Tensor, where: str) -> torch.Tensor:
    """Let each padding position look at itself only: models leave anything at all in those rows."""
    batch, _, seq, _ = weights.shape
    token = torch.as_tensor(attention_mask, device=weights.device).bool()
    if token.shape != (batch, seq):
        raise InputError(f"attention_mask has the shape {tuple(token.shape)}; allowed: (batch, seq) = {(batch, seq)}")
    identity = torch.eye(seq, dtype=weights.dtype, device=weights.device)
    weights = weights.where(token[:, None, :, None], identity)  # (batch, head, query, key)
    looked_at = weights.masked_fill(token[:, None, None, :], 0).amax(dim=(1, 3))  # (batch, query), of padding only
    if (looked_at[token] > 0).any():
        raise InputError(f"{where} look at padding; give the model the same attention_mask")
    return weights


def is_causal(weights: torch.Tensor) -> bool:
    """Whether no query looks at a later key: then exactly nothing stands above the diagonal of (..., query, key)."""
    return not bool(weights.triu(1).any())


def allowed_entries(weights: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
    """Which queries may look at which keys? True where the mask allows it, shape (batch, query, key).

    A causal model is known by its weights. Keys outside a sliding window count as allowed.
    """
    batch, _, seq, _ = weights.shape
    allowed = torch.ones(batch, seq, seq, dtype=torch.bool, device=weights.device)
    if is_causal(weights):
        allowed = allowed.tril()
    if attention_mask is not None:
        token = torch.as_tensor(attention_mask, device=weights.device).bool()  # (batch, seq)
        allowed = allowed & token[:, :, None] & token[:, None, :]
    return allowed
