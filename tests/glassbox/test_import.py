"""`import glassbox` brings torch and transformers, and nothing that draws, tabulates or knows the course."""

import subprocess
import sys

import pytest

import glassbox as gb


def modules_after(code: str) -> set[str]:
    report = f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return set(done.stdout.split())


def test_import_stays_light():
    loaded = modules_after("import glassbox")
    assert {"torch", "transformers"} <= loaded
    assert not loaded & {"matplotlib", "pandas", "scipy", "sklearn", "IPython", "smallworld", "classroom"}


def test_figures_load_when_something_is_drawn():
    code = """
import glassbox as gb
scores = [0.5, 0.5]
spans = [("a", 0, 1), ("b", 1, 2)]
a = gb.Attribution(["a", "b"], scores, "rollout", 1, "b", 1, "logit", 0.0, spans)
import sys
assert "matplotlib" not in sys.modules
a.plot()
"""
    assert "matplotlib.pyplot" in modules_after(code)


def test_the_small_world_is_found_without_importing_it():
    code = """
import glassbox as gb
try:
    gb.load("smallworld")
except gb.errors.ModelError:
    pass
"""
    assert "smallworld" not in modules_after(code)


@pytest.mark.parametrize("name", gb.__all__)
def test_public_names_are_there(name):
    assert getattr(gb, name) is not None
