"""Loading a model with its tokenizer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers

from glassbox.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


def load(
    name: str | os.PathLike,
    *,
    dtype: torch.dtype = torch.float32,
    attn_implementation: str = "eager",
    **source: Any,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a model and its tokenizer, ready to be explained: in evaluation mode, float32, with eager attention.

    name:    "smallworld", the model that ships with the course; a folder; or a Hugging Face id such as "gpt2".
    source:  where and what to fetch, passed on to Hugging Face: `revision`, `cache_dir`, `token`, `local_files_only`.

    Eager attention is slower than PyTorch's fused one, but the only one that shows its weights.
    Raises ModelError if there is no such model, it is no transformer that reads text, or its file lacks weights.
    """
    place = _place(name)
    try:
        config = transformers.AutoConfig.from_pretrained(place, **source)
        kind = _kind(name, config)
        tokenizer = transformers.AutoTokenizer.from_pretrained(place, **source)
        with _no_progress_bar() if os.path.isdir(place) else nullcontext():
            model, report = kind.from_pretrained(
                place, dtype=dtype, attn_implementation=attn_implementation, output_loading_info=True, **source
            )
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        hint = (
            "the folder must hold config.json, model.safetensors and the tokenizer's files"
            if os.path.isdir(place)
            else "it is no folder here, and Hugging Face gave no such model: check the spelling, or the network"
        )
        raise ModelError(f"could not load {str(name)!r}: {hint} ({reason})") from error
    if len(tokenizer) <= len(tokenizer.all_special_tokens):  # transformers makes one up where the files are missing
        raise ModelError(f"{str(name)!r} has no tokenizer; the folder must hold tokenizer.json and its configuration")
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        lacks = f"lacks {len(missing)} weights of {kind.__name__}, among them {missing[0]}"
        raise ModelError(f"the file of {str(name)!r} {lacks}: they would be random, and so its predictions")
    return model.eval(), tokenizer


def _place(name: str | os.PathLike) -> str:
    """The folder or the Hugging Face id behind a name."""
    if name == "smallworld":
        # importlib.resources.files("smallworld") would import the package; to find its folder imports nothing.
        spec = find_spec("smallworld")
        folder = Path(spec.submodule_search_locations[0]) / "weights" if spec else None
        if folder is None or not (folder / "config.json").is_file():
            raise ModelError("the small world's model is not installed: run `make study` in the course's folder")
        return str(folder)
    place = os.path.expanduser(os.fspath(name))
    if os.path.isfile(place):
        raise ModelError(f"{place!r} is a file; give the folder that holds it")
    if not os.path.isdir(place) and (os.path.isabs(place) or place.startswith(".")):
        raise ModelError(f"there is no folder {place!r}")
    return place


def _kind(name: str | os.PathLike, config: PreTrainedConfig) -> type[PreTrainedModel]:
    """The class that the configuration says the model was saved from, with its head."""
    architecture = (config.architectures or ["unnamed"])[0]
    kind = getattr(transformers, architecture, None)
    if kind is None or config.is_encoder_decoder or not hasattr(config, "vocab_size"):
        raise ModelError(
            f"{str(name)!r} is of the kind {architecture}; glassbox explains models which transformers "
            "knows by that name, which read text, and which are one stack: an encoder or a decoder, not both"
        )
    return kind


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """A folder loads in a moment, so its progress bar is noise; a download keeps the bar."""
    shown = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers.utils.logging.enable_progress_bar()
