"""Every view in a JupyterLab with a kernel, as `classroom study` serves it: light and dark, wide and narrow.

What a view has to do on any page is asked by the tests of the exported pages, and asked here again. What only a
notebook can do wrong comes on top: its own keys, its trust, its scrolling.
"""

import json
import re
import urllib.request
from contextlib import suppress
from itertools import product
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from playwright.sync_api import TimeoutError
from tests.book import test_views_browser as anywhere
from tests.book.test_browser import WIDTHS
from tests.book.test_views_browser import BOXES_OUTSIDE, view_on
from tests.classroom.test_study import lab  # noqa: F401
from tests.glassbox.hostile import KINDS

pytestmark = pytest.mark.timeout(900)
ROOT = Path(__file__).parents[2]
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
FORMS = list(product(THEMES, WIDTHS))
SETUP = f"""import sys

sys.path.insert(0, {str(ROOT)!r})
from tests.glassbox.architectures import build
from tests.glassbox.hostile import every_view

views = every_view(build("gpt2"))"""


class Tab:
    """A page of JupyterLab, with what its scripts failed at, as the tests of other pages look at it."""

    def __init__(self, lab, browser, file, width=1280):  # noqa: F811
        self.context = browser.new_context(viewport={"width": width, "height": 900})
        self.context.set_default_timeout(150_000)  # milliseconds; a busy machine is no failure
        self.page, self.failures = self.context.new_page(), []
        self.page.on("pageerror", lambda error: self.failures.append(f".html: {error}"))
        self.page.goto(
            f"{lab.host}/doc/tree/views/{file}?token={lab.token}"
        )  # one notebook, without the files beside it
        self.page.locator(".jp-Notebook-cell").first.wait_for()
        self.page.tab = self


def run(cell):
    """Run a cell; while the kernel is still being connected, JupyterLab forgets that it was asked to."""
    ran = cell.locator(".jp-InputPrompt", has_text=re.compile(r"\[\d+\]"))
    while not ran.count():
        cell.locator(".cm-content").click()
        cell.page.keyboard.press("Control+Enter")
        with suppress(TimeoutError):
            ran.wait_for(timeout=20_000)


@pytest.fixture(scope="module")
def ran(lab, chromium):  # noqa: F811
    """The notebook that shows all views, run cell by cell in JupyterLab and saved."""
    cells = [new_code_cell(SETUP), *(new_code_cell(f"views[{kind!r}]") for kind in KINDS)]
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    path = lab.work / "views" / "views.ipynb"
    path.parent.mkdir()
    nbformat.write(new_notebook(cells=cells, metadata=kernel), path)
    tab = Tab(lab, chromium, path.name)
    page = tab.page
    page.locator(".jp-StatusBar-TextItem", has_text="| Idle").wait_for()
    for cell in page.locator(".jp-Notebook-cell").all():
        run(cell)
    page.locator(".gb-body").nth(len(KINDS) - 1).wait_for()
    page.keyboard.press("Control+S")
    while len(nbformat.read(path, as_version=4).cells[len(KINDS)].outputs) == 0:
        page.wait_for_timeout(100)
    tab.context.close()
    return path


def choose(lab, theme):  # noqa: F811
    """The student's choice of a theme, as the settings menu stores it."""
    request = urllib.request.Request(
        f"{lab.host}/lab/api/settings/@jupyterlab/apputils-extension:themes",
        json.dumps({"raw": json.dumps({"theme": theme, "adaptive-theme": False})}).encode(),
        {"Authorization": f"token {lab.token}", "Content-Type": "application/json"},
        method="PUT",
    )
    urllib.request.urlopen(request, timeout=60).close()


@pytest.fixture(scope="module", params=FORMS, ids=lambda form: "-".join(map(str, form)))
def form(request, lab, chromium, ran):  # noqa: F811
    """The saved notebook, opened again."""
    scheme, width = request.param
    choose(lab, THEMES[scheme])
    tab = Tab(lab, chromium, ran.name, width)
    tab.page.locator(".gb-body").nth(len(KINDS) - 1).wait_for()
    chosen = f"body[data-jp-theme-light={'true' if scheme == 'light' else 'false'}]"
    tab.page.locator(chosen).wait_for(state="attached")  # it has no height of its own
    tab.page.place, tab.page.scheme, tab.page.width = "lab", scheme, width
    yield tab.page
    tab.context.close()


@pytest.mark.parametrize("kind", KINDS)
def test_the_view_stands_in_the_tables_place_and_within_the_notebook(form, kind):
    anywhere.test_the_view_stands_in_the_tables_place_and_within_the_page(form, kind)
    anywhere.test_tokens_are_text(form, kind)
    sideways = (
        "view => [...ancestors(view)].filter(box => box.scrollWidth > box.clientWidth + 1).map(box => box.className)"
    )
    ancestors = "function* ancestors(box) { for (box = box.parentElement; box; box = box.parentElement) yield box }"
    assert view_on(form, kind).evaluate(f"view => {{ {ancestors}; return ({sideways})(view) }}") == []


@pytest.mark.parametrize("kind", KINDS)
def test_it_answers_to_mouse_and_keyboard_and_the_notebook_does_not(form, kind):
    anywhere.test_it_answers_to_mouse_and_keyboard(form, kind)
    cells = form.locator(".jp-Notebook-cell")
    active = "cells => cells.findIndex(cell => cell.classList.contains('jp-mod-active'))"
    number, place = cells.count(), cells.evaluate_all(active)
    for key in ("ArrowDown", "ArrowUp", "j", "b", "a", "d", "d", "m"):  # in JupyterLab these move, add, delete and turn
        form.keyboard.press(key)
    assert (cells.count(), cells.evaluate_all(active)) == (number, place), "the keys reached the notebook"
    assert form.locator(".jp-MarkdownCell").count() == 0


def test_in_a_notebook_that_is_not_trusted_the_tables_stand_there(lab, chromium, ran):  # noqa: F811
    notebook = nbformat.read(ran, as_version=4)
    notebook.cells.append(new_markdown_cell("From somebody else."))  # other bytes than those that this server signed
    path = ran.with_name("untrusted.ipynb")
    nbformat.write(notebook, path)
    tab = Tab(lab, chromium, path.name, 390)
    try:
        tab.page.locator("table").nth(len(KINDS) - 1).wait_for()
        assert tab.page.locator(".gb-body").count() == 0
        assert tab.page.locator(".jp-OutputArea table").first.is_visible()
        assert not tab.page.evaluate("window.harmed")
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390
        assert tab.page.evaluate(f"[...document.querySelectorAll('.gb-view')].flatMap({BOXES_OUTSIDE})") == []
    finally:
        tab.context.close()
