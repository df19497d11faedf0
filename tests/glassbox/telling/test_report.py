"""A report is one whole file in which everything is shown and nothing is taken for markup."""

from html.parser import HTMLParser

import pandas as pd
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

import glassbox as gb
from glassbox.errors import InputError

HOSTILE = '</script><img src=x onerror="alert(1)"><h1>& "all" \'of\' it'


class Page(HTMLParser):
    """All elements of a page with their attributes, and its text."""

    def __init__(self, text: str):
        super().__init__()
        self.elements, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)


def attribution(token: str) -> gb.Attribution:
    return gb.Attribution([token], torch.tensor([-0.5]), "lrp", 0, token, 0, "logit", 1.0, [(token, 0, 1)])


def test_every_kind_of_part_is_there(tmp_path):
    figure = attribution("word").plot()
    parts = ["A sentence.", gb.Picture(figure, "a bar"), attribution(" word"), {"layers": 6},
             pd.DataFrame({"lrp": [0.25, 1.0]}, index=["rho", "tau"])]  # fmt: skip
    path = gb.report(tmp_path / "report.html", "A decision", {"First": parts, "Second": []})
    page = Page(path.read_text(encoding="utf-8"))
    text = " ".join(page.words)
    for words in (
        "A decision",
        "First",
        "Second",
        "A sentence.",
        "word",
        "-0.500",
        "layers",
        "6",
        "rho",
        "0.250",
        "lrp",
    ):
        assert words in text
    ((_, image),) = [element for element in page.elements if element[0] == "img"]
    assert image["alt"] == "a bar" and image["src"].startswith("data:image/png;base64,iVBOR")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


@example(HOSTILE)
@given(st.text(min_size=1))
def test_nothing_is_taken_for_markup(tmp_path_factory, words):
    path = tmp_path_factory.mktemp("report") / "report.html"
    parts = [words, attribution(words), {words: words}, pd.DataFrame({words: [words]}, index=[words])]
    plain = ["x", attribution("x"), {"x": "x"}, pd.DataFrame({"x": ["x"]}, index=["x"])]
    hostile = Page(gb.report(path, words, {words: parts}).read_text(encoding="utf-8"))
    harmless = Page(gb.report(path, "x", {"x": plain}).read_text(encoding="utf-8"))
    assert hostile.elements == harmless.elements


def test_nothing_half_written_stays(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("an earlier one")
    with pytest.raises(InputError, match="can't hold a set"):
        gb.report(path, "A decision", {"First": [{1, 2}]})
    with pytest.raises(UnicodeEncodeError):
        gb.report(path, "\ud800", {})
    assert path.read_text() == "an earlier one" and [found.name for found in tmp_path.iterdir()] == ["report.html"]


def test_a_picture_needs_words():
    with pytest.raises(InputError, match="pass `alt`"):
        gb.Picture(attribution("word").plot(), " ")


def test_the_card_counts_and_then_lets_you_speak(smallworld_model):
    model, _ = smallworld_model
    card = gb.model_card(model, purpose="to be explained", known_limits="one small world")
    assert card["parameters"] == f"{sum(p.numel() for p in model.parameters()):,}"
    assert (card["layers"], card["heads"], card["width"]) == ("6", "8", "192")
    assert card["longest text in tokens"] == "128" and card["numbers stored as"] == "float32"
    assert list(card)[-2:] == ["purpose", "known limits"] and card["known limits"] == "one small world"
