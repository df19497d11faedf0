"""The bar of a long loop: it shows where there is something to wait for, and leaves nothing behind."""

import os
import subprocess
import sys

import pytest

import glassbox as gb

LOOP = """
import time
import glassbox as gb
for number in gb.progress(range({count}), unit="sentences"):
    time.sleep({seconds})
"""


def said(count: int, seconds: float, **variables: str) -> subprocess.CompletedProcess:
    code = LOOP.format(count=count, seconds=seconds)
    environment = {name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"} | variables
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True, timeout=120)


def test_a_long_loop_shows_how_far_it_is_and_clears_its_line():
    ran = said(6, 0.4)
    assert ran.stderr == b""
    shown = ran.stdout.decode().split("\r")
    assert any("4 of 6 sentences, about" in line for line in shown)
    assert shown[-2].strip() == shown[-1] == ""


@pytest.mark.parametrize(("count", "seconds", "variables"), [(6, 0.0, {}), (6, 0.4, {"TQDM_DISABLE": "1"})])
def test_nothing_is_shown_of_a_short_loop_or_where_it_is_switched_off(count, seconds, variables):
    ran = said(count, seconds, **variables)
    assert ran.stdout == ran.stderr == b""


def test_the_items_come_as_they_are():
    assert list(gb.progress("abc", unit="letters")) == ["a", "b", "c"]
    assert list(gb.progress(iter("abc"), total=3, show=False)) == ["a", "b", "c"]
