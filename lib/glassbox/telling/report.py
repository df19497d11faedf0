"""One decision, explained in one file that can be handed on: it opens in any browser, offline, and prints.

A report is a list of sections. What stands in a section may be text, a table, a figure or an attribution; each is
written so that nothing in it is taken for markup, whatever characters a prompt or a token is made of.

What it can't tell you: whether the explanation in it is right. It shows which checks were made, and what they gave.
"""

from __future__ import annotations

import base64
import io
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glassbox.attribution import Attribution
from glassbox.errors import InputError
from glassbox.reading.tuned_lens import fingerprint

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from transformers import PreTrainedModel

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
  body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif;
         background: #fcfcfb; color: #1b1b1a; overflow-wrap: break-word }
  h1, h2 { line-height: 1.2 } h2 { margin-top: 2rem }
  table { border-collapse: collapse; display: block; overflow-x: auto; max-width: 100% }
  th, td { padding: .25rem .75rem; border-bottom: 1px solid #e3e2dd; text-align: left; vertical-align: top }
  td.number { text-align: right; font-variant-numeric: tabular-nums } img { max-width: 100%; height: auto }
</style>
<h1>{{ title }}</h1>
{% for heading, parts in sections %}
<section>
<h2>{{ heading }}</h2>
{% for part in parts %}
{% if part.kind == "text" %}<p>{{ part.text }}</p>
{% elif part.kind == "figure" %}<img alt="{{ part.alt }}" src="data:image/png;base64,{{ part.data }}">
{% else %}<table>
{% if part.head %}
<thead><tr>{% for name in part.head %}<th scope="col">{{ name }}</th>{% endfor %}</tr></thead>
{% endif %}
<tbody>
{% for name, cells in part.rows %}<tr><th scope="row">{{ name }}</th>
{% for cell in cells %}<td{% if cell.number %} class="number"{% endif %}>{{ cell.text }}</td>{% endfor %}</tr>
{% endfor %}</tbody>
</table>
{% endif %}
{% endfor %}
</section>
{% endfor %}
</html>
"""


@dataclass(frozen=True)
class Picture:
    """A figure for a report, with what it shows in words."""

    figure: Figure
    alt: str

    def __post_init__(self) -> None:
        if not self.alt.strip():
            raise InputError("a picture needs words for those who can't see it; pass `alt`")


def report(path: str | Path, title: str, sections: Mapping[str, Sequence[Any]]) -> Path:
    """Write a report and return where it lies; the file is there whole or not at all.

    sections:  heading -> its parts: strings, Pictures, data frames, attributions, or mappings from names to values.

    Raises InputError for a part of another kind.
    """
    from jinja2 import Environment

    written = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(PAGE)
    parts = [(heading, [_part(part) for part in found]) for heading, found in sections.items()]
    target = Path(path)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(written.render(title=title, sections=parts))
        Path(temporary).replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    return target


def model_card(model: PreTrainedModel, **words: str) -> dict[str, str]:
    """What has to be known of a model by whoever relies on it: what can be counted, and then your own words.

    words:  for instance purpose=..., data=..., measured=..., limits=...; each becomes a line of the card.

    After Mitchell et al. 2019, "Model Cards for Model Reporting".
    """
    config = model.config
    counted = {
        "architecture": type(model).__name__,
        "parameters": f"{sum(parameter.numel() for parameter in model.parameters()):,}",
        "layers": getattr(config, "num_hidden_layers", None),
        "heads": getattr(config, "num_attention_heads", None),
        "width": getattr(config, "hidden_size", None),
        "vocabulary": f"{model.get_input_embeddings().num_embeddings:,}",
        "longest text in tokens": getattr(config, "max_position_embeddings", None),
        "numbers stored as": str(next(model.parameters()).dtype).removeprefix("torch."),
        "fingerprint of the weights": fingerprint(model)[:16],
    }
    known = {name: str(value) for name, value in counted.items() if value is not None}
    return known | {name.replace("_", " "): text for name, text in words.items()}


def _part(part: Any) -> dict[str, Any]:
    if isinstance(part, str):
        return {"kind": "text", "text": part}
    if isinstance(part, Picture):
        return {"kind": "figure", "alt": part.alt, "data": _png(part.figure)}
    if isinstance(part, Attribution):
        rows = zip(part.tokens, part.scores.tolist(), strict=True)
        return _table(["token", part.method], [(repr(token)[1:-1], [score]) for token, score in rows])
    if isinstance(part, Mapping):
        return _table(None, [(name, [value]) for name, value in part.items()])
    if hasattr(part, "itertuples"):
        rows = [(str(name), list(cells)) for name, *cells in part.itertuples()]
        return _table(["", *map(str, part.columns)], rows)
    raise InputError(
        f"a report can't hold a {type(part).__name__}; allowed: a string, a Picture, a data frame, an attribution, or "
        "a mapping"
    )


def _table(head: list[str] | None, rows: list[tuple[str, list[Any]]]) -> dict[str, Any]:
    cells = [(name, [_cell(value) for value in values]) for name, values in rows]
    return {"kind": "table", "head": head, "rows": cells}


def _cell(value: Any) -> dict[str, Any]:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return {"text": text, "number": number}


def _png(figure: Figure) -> str:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=120)
    return base64.b64encode(data.getvalue()).decode("ascii")
