"""The command that trains the small world's tuned lens, cut short: what it reads, and what it writes."""

import pytest

import glassbox as gb
import smallworld
from classroom import tuned_lens


def test_texts_are_drawn_with_the_seed():
    once, again, other = tuned_lens.texts(40, 1), tuned_lens.texts(40, 1), tuned_lens.texts(40, 2)
    assert once == again != other
    assert len(once) == 40 and all(text.strip() for text in once)
    assert len({text.count(".") > 1 for text in once}) == 2  # single sentences, and several in a row


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A place for what is written that is not the shipped one."""
    (tmp_path / "weights").mkdir()
    monkeypatch.setattr(smallworld, "__file__", str(tmp_path / "__init__.py"))
    return tmp_path / "weights"


def test_it_writes_a_small_lens_of_the_shipped_model(folder, monkeypatch, capsys):
    monkeypatch.setattr(tuned_lens, "STEPS", 2)
    monkeypatch.setattr(tuned_lens, "TEXTS", 20)
    tuned_lens.main()
    [file] = folder.iterdir()
    assert file.name == "tuned_lens.safetensors"
    assert file.stat().st_size < 0.7e6
    assert f"{file}: 0.4" in capsys.readouterr().out
    lens = gb.tuned_lens.load(folder)
    lens.check(gb.load("smallworld")[0])
    assert lens.maps.any() and lens.shifts.any()
