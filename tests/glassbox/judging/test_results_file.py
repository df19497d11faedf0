"""A file of results that was cut anywhere goes on from its last whole result; one of anything else is refused."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glassbox.errors import InputError
from glassbox.judging.results_file import ResultsFile

MADE_FROM = {"model": "a1", "set of sentences": "b2"}
RESULTS = {("one", "lrp"): {"x": 0.1}, ("one", "rollout (fuse='max')"): {"x": 1 / 3}, ("two", "lrp"): {"x": 1e-300}}


def written(path, results=RESULTS):
    file = ResultsFile(path, MADE_FROM)
    for key, result in results.items():
        file.add(key, result)
    return path


def test_results_come_back_to_the_last_digit(tmp_path):
    file = ResultsFile(written(tmp_path / "results"), MADE_FROM)
    assert all(key in file and file[key] == result for key, result in RESULTS.items())
    assert ("two", "rollout") not in file
    assert [path.name for path in tmp_path.iterdir()] == ["results"]  # no half-written file is left


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_cut_anywhere_goes_on_from_its_last_whole_result(tmp_path, data):
    path = tmp_path / "results"
    path.unlink(missing_ok=True)
    whole = written(path).read_bytes()
    header = whole.index(b"\n") + 1
    cut = data.draw(st.integers(header, len(whole)))
    path.write_bytes(whole[:cut])
    file = ResultsFile(path, MADE_FROM)
    left = whole[:cut].count(b"\n") - 1
    assert [key in file for key in RESULTS] == [number < left for number in range(3)]
    for key, result in list(RESULTS.items())[left:]:
        file.add(key, result)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("content", ["", "my notes", "my notes\n", '{"made from": ', "[1]\n", '{"results": 3}\n'])
def test_a_file_of_something_else_is_refused_and_kept(tmp_path, content):
    path = tmp_path / "notes"
    path.write_text(content)
    with pytest.raises(InputError, match="notes' is no file of results; name a new file"):
        ResultsFile(path, MADE_FROM)
    assert path.read_text() == content


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({**MADE_FROM, "model": "a2"}, "results of another model; name a new file"),
        ({"model": "a2", "set of sentences": "b3"}, "another model and another set of sentences"),
    ],
)
def test_a_stale_file_is_refused_and_kept(tmp_path, now, said):
    path = written(tmp_path / "results")
    before = path.read_bytes()
    with pytest.raises(InputError, match=said):
        ResultsFile(path, now)
    assert path.read_bytes() == before


def test_a_damaged_line_is_named(tmp_path):
    path = written(tmp_path / "results")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:2], "{}\n", *lines[2:]]))
    with pytest.raises(InputError, match="line 3 of .* is damaged"):
        ResultsFile(path, MADE_FROM)
    assert json.loads(lines[0]) == {"made from": MADE_FROM}


def test_without_a_path_results_stay_in_memory(tmp_path):
    file = ResultsFile(None, MADE_FROM)
    file.add(("a", "b"), {"x": 1.0})
    assert file["a", "b"] == {"x": 1.0} and ("a", "c") not in file
    assert list(tmp_path.iterdir()) == []
