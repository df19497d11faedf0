"""Every view in Chromium: on an exported notebook and on a page of the book, light and dark, on a desk and a telephone.

The views hold tokens that do harm wherever they are taken for markup. Whether the numbers in a view are those of its
table is asked of the small world's model, which gives readable ones.
"""

import re
import shutil
from itertools import product
from pathlib import Path

import nbformat
import pytest
import torch
from nbconvert import HTMLExporter
from tests.book.test_browser import AXE, WIDTHS, Tab, contrast
from tests.glassbox.architectures import build
from tests.glassbox.hostile import HOSTILE, KINDS, every_view

import glassbox as gb
from glassbox.views import writing
from glassbox.views.view import label

FORMS = list(product(["notebook", "book"], ["light", "dark"], WIDTHS))
PROMPT = "The Eiffel Tower is located in the city of"


@pytest.fixture(scope="module")
def views():
    return every_view(build("gpt2"))


@pytest.fixture(scope="module")
def smallworld():
    return gb.load("smallworld")


@pytest.fixture(scope="module")
def book_page(small_shown, tmp_path_factory):
    """Writes pages of the book that hold other outputs than they were built with."""
    site = tmp_path_factory.mktemp("views") / "site"
    shutil.copytree(small_shown, site)
    before, after = (site / "chapters" / "01_small.html").read_text(encoding="utf-8").split("</article>")
    start = '<article class="bd-article">'
    before = before.partition(start)[0] + start  # without the chapter's own text and view

    def write(outputs: list[str], name: str) -> Path:
        cells = "".join(
            f'<div class="cell docutils container"><div class="cell_output docutils container">'
            f'<div class="output text_html">{output}</div></div></div>'
            for output in outputs
        )
        file = site / "chapters" / f"{name}.html"
        file.write_text(f"{before}{cells}</article>{after}", encoding="utf-8")
        return file

    return write


@pytest.fixture(scope="module")
def notebook_page(tmp_path_factory):
    """Writes notebooks with these outputs as pages, as nbconvert exports them."""
    folder = tmp_path_factory.mktemp("notebooks")

    def write(outputs: list[str], name: str, scheme: str = "light") -> Path:
        cells = [
            nbformat.v4.new_code_cell("view", outputs=[nbformat.v4.new_output("display_data", {"text/html": output})])
            for output in outputs
        ]
        page, _ = HTMLExporter(theme=scheme).from_notebook_node(nbformat.v4.new_notebook(cells=cells))
        page = re.sub(r'<script src="https://[^>]*></script>', "", page)  # nbconvert's own, from other hosts
        file = folder / f"{name}-{scheme}.html"
        file.write_text(page, encoding="utf-8")
        return file

    return write


def opened(chromium, file, scheme="light", width=1280, **more):
    tab = Tab(chromium, color_scheme=scheme, viewport={"width": width, "height": 900}, **more)
    tab.context.set_default_timeout(120_000)  # milliseconds; a busy machine is no failure
    page = tab.open(file) if more.get("java_script_enabled", True) else tab.page
    if page.url != file.as_uri():
        page.goto(file.as_uri())
    page.tab = tab
    return page


@pytest.fixture(scope="module", params=FORMS, ids=lambda form: "-".join(map(str, form)))
def form(request, chromium, views):
    """A page with every view on it, in one of the forms."""
    place, scheme, width = request.param
    outputs = [view._repr_html_() for view in views.values()]
    write = request.getfixturevalue(f"{place}_page")
    file = write(outputs, "all") if place == "book" else write(outputs, "all", scheme)
    page = opened(chromium, file, scheme, width)
    page.place, page.scheme, page.width = place, scheme, width
    yield page
    page.tab.context.close()


def view_on(page, kind):
    return page.locator(".gb-view").nth(KINDS.index(kind))


def said(view):
    return view.locator("[role=status]").inner_text()


def bars(view):
    """The word and the number of each bar."""
    return view.locator(".gb-row").evaluate_all(
        "rows => rows.map(row => [row.firstChild.textContent, row.lastChild.textContent])"
    )


BOXES_OUTSIDE = """view => [...view.querySelectorAll('*')].filter(each => {
    const box = each.getBoundingClientRect(), free = !each.parentElement.closest('.gb-scroll, svg');
    return free && box.width && (box.right > innerWidth + 0.5 || box.left < -0.5);
}).map(each => each.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("kind", KINDS)
def test_the_view_stands_in_the_tables_place_and_within_the_page(form, kind):
    view = view_on(form, kind)
    assert view.locator(".gb-body").is_visible()
    assert view.locator(".gb-body").bounding_box()["height"] > 60
    tables = view.locator("table.gb-table")
    assert tables.count() >= 1 and not any(table.is_visible() for table in tables.all())
    assert form.evaluate("document.documentElement.scrollWidth") <= form.width
    assert view.evaluate(BOXES_OUTSIDE) == []
    assert [failure for failure in form.tab.failures if ".html:" in failure] == []
    ground, around = view.evaluate("view => [view, document.body].map(each => getComputedStyle(each).backgroundColor)")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 200) == (form.scheme == "dark"), "not the page's own form"
    assert around != ground or form.scheme == "light"


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_text(form, kind):
    view = view_on(form, kind)
    assert not form.evaluate("window.harmed")
    allowed = {
        *("STYLE", "DIV", "SCRIPT", "TABLE", "CAPTION", "THEAD", "TBODY", "TR", "TH", "TD", "P", "SPAN", "LABEL"),
        *("FIELDSET", "LEGEND", "INPUT", "SELECT", "OPTION", "BUTTON", "DETAILS", "SUMMARY", "UL", "LI", "STRONG"),
        *("I", "B", "svg", "g", "rect", "path", "line", "circle", "text"),
    }
    assert set(view.evaluate("view => [...view.querySelectorAll('*')].map(each => each.tagName)")) <= allowed
    assert view.evaluate("view => [...view.querySelectorAll('i, b')].every(each => !each.textContent)")
    assert view.locator("mjx-container").count() == 0
    if kind in ("token_strip", "steering", "generation"):
        assert any(label(token) in view.text_content() for token in HOSTILE[:3])


def use_token_strip(page, view):
    view.locator("[role=option]").nth(2).hover()
    assert label(HOSTILE[2]) in said(view) and "−0.240" in said(view) and "against" in said(view)
    view.get_by_role("radio", name="<i>x</i>").check()
    assert "−0.620" not in said(view) and label(HOSTILE[2]) in said(view)
    view.get_by_role("checkbox", name="whole words").check()
    assert view.locator("[role=option]").count() == 5
    page.keyboard.press("Tab")
    yield "[role=option]", ["ArrowRight", "ArrowRight", "Home", "End"]


def use_attention(page, view):
    cell = view.get_by_role("gridcell", name="layer 0, head 3", exact=True)
    cell.click()
    assert said(view).startswith("Layer 0, head 3: ") and "looks most at" in said(view)
    view.locator("[role=option]").nth(1).hover()
    before = said(view)
    view.get_by_role("checkbox").check()
    assert "is brought most from" in said(view) and said(view) != before
    cell.focus()
    yield "[role=gridcell][aria-label^='layer']", ["ArrowDown", "ArrowLeft", "End", "ArrowUp"]


def use_lens(page, view):
    view.get_by_role("gridcell").first.click()
    assert said(view).startswith("Layer 3, after ")
    view.locator("select").select_option(index=1)
    assert "has rank" in said(view)
    view.get_by_role("gridcell").first.focus()
    yield "[role=gridcell]", ["ArrowDown", "ArrowRight", "End", "ArrowUp"]


def use_generation(page, view):
    view.get_by_role("button", name="next").click()
    assert said(view).startswith("Step 2 of 3")
    view.get_by_role("slider", name="temperature").fill("0")
    assert said(view).endswith("1 of 300 words are kept.")
    view.get_by_role("button", name="reset").click()
    assert said(view).endswith("300 of 300 words are kept.")
    view.get_by_role("slider", name="top-k").focus()
    page.keyboard.press("ArrowLeft")
    assert said(view).endswith("60 of 300 words are kept.")
    view.get_by_role("button", name="reset").click()
    view.locator("[role=option]").nth(1).focus()
    yield "[role=option]", ["ArrowRight", "ArrowLeft", "Home", "End"]


def use_steering(page, view):
    slider = view.get_by_role("slider", name="strength")
    slider.fill("2")
    assert said(view).startswith("Strength +2: ")
    assert "perplexity" in slider.get_attribute("aria-valuetext")
    slider.focus()
    yield "input[type=range]", ["ArrowLeft", "ArrowLeft", "End", "Home"]


def use_architecture(page, view):
    view.locator("strong", has_text="3 × GPT2Block").click()
    assert said(view).startswith("transformer.h.0–2 (GPT2Block)")
    assert view.get_by_role("treeitem", name="mlp").first.is_visible()
    page.keyboard.press("ArrowLeft")
    assert not view.locator("strong", has_text="ln_2").is_visible()
    page.keyboard.press("Enter")
    yield "[role=treeitem]", ["ArrowRight", "ArrowDown", "ArrowDown", "End", "Home"]


@pytest.mark.parametrize("kind", KINDS)
def test_it_answers_to_mouse_and_keyboard(form, kind):
    view = view_on(form, kind)
    form.evaluate("window.heard = 0")
    form.evaluate("document.addEventListener('keydown', event => event.key.startsWith('Arrow') && (window.heard += 1))")
    for cells, keys in globals()[f"use_{kind}"](form, view):
        form.evaluate("window.heard = 0")
        for key in keys:
            before = said(view)
            form.keyboard.press(key)
            focused = form.evaluate_handle("document.activeElement")
            assert focused.evaluate(f"each => each.matches({cells!r})"), key
            assert said(view) != before, f"{key} said nothing new"
            assert focused.evaluate(SHOWS_FOCUS), key
        if kind != "steering":
            assert form.evaluate("window.heard") == 0, "the page around it would have moved as well"


SHOWS_FOCUS = """each => {
    const drawn = [each, ...each.querySelectorAll('.gb-ring, .gb-box')].map(part => getComputedStyle(part));
    return drawn.some(style => (style.outlineStyle != 'none' && parseFloat(style.outlineWidth) >= 2)
        || (style.stroke != 'none' && parseFloat(style.strokeWidth) >= 2));
}"""


@pytest.mark.parametrize("kind", KINDS)
def test_one_stop_for_the_tab_key_in_each_group_and_no_shortcuts(form, kind):
    view = view_on(form, kind)
    for group in view.locator("[role=listbox], [role=grid], [role=tree]").all():
        assert group.locator("[tabindex='0']").count() == 1
        assert group.locator("[aria-selected=true]").count() == 1
    focusable = "view => [...view.querySelectorAll('[tabindex], button, input, select, summary')]"
    assert view.evaluate(f"{focusable[:-1]}].length") >= 2
    assert view.evaluate(f"{focusable}.filter(each => !each.hasAttribute('data-lm-suppress-shortcuts')).length") == 0


@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_nothing_serious(form, kind):
    view = view_on(form, kind)
    if form.evaluate("typeof axe") == "undefined":
        form.add_script_tag(path=AXE)
    view.locator("summary").click()
    for closed in view.locator("[aria-expanded=false] > .gb-box").all():
        if closed.is_visible():
            closed.click()
    own = view.get_attribute("id")
    result = form.evaluate("id => axe.run('#' + id)", own)
    view.locator("summary").click()
    assert len(result["passes"]) > 5
    found = [(each["impact"], each["id"], len(each["nodes"])) for each in result["violations"]]
    print(f"axe-core: {form.place}, {form.scheme}, {form.width}, {kind}: {found or 'no violation'}")
    assert [each for each in result["violations"] if each["impact"] in ("serious", "critical")] == []


def test_ink_can_be_read_on_every_strength_of_a_colour(form):
    """A colour is washed over the ground, so what lies between is between; the ends are the worst."""
    view = view_on(form, "token_strip")
    names = ["ground", "panel", "ink", "faint", "for", "against", "mark", "less", "line", "focus"]
    read = view.evaluate(
        "(view, names) => Object.fromEntries(names.map(name => "
        "[name, getComputedStyle(view).getPropertyValue('--gb-' + name).trim()]))",
        names,
    )
    rgb = {
        name: f"rgb({value})"
        if "," in value
        else f"rgb({', '.join(str(int(value[n : n + 2], 16)) for n in (1, 3, 5))})"
        for name, value in read.items()
    }
    for ground in ("ground", "panel", "for", "against"):
        assert contrast(rgb["ink"], rgb[ground]) >= 4.5, ground
    for ground in ("ground", "panel"):
        assert contrast(rgb["faint"], rgb[ground]) >= 4.5, ground
    for drawn in ("mark", "less", "line", "focus"):
        assert contrast(rgb[drawn], rgb["ground"]) >= 3, drawn


BUILT = "chapters/01_small.html"


@pytest.mark.parametrize(("scheme", "width"), list(product(["light", "dark"], WIDTHS)))
def test_a_view_in_a_chapter_of_a_built_book(small_shown, chromium, scheme, width):
    """The page is as the book's build left it: executed, through Jupyter Book, and opened from disk."""
    page = opened(chromium, small_shown / BUILT, scheme, width)
    try:
        [view] = page.locator(".cell_output .gb-view").all()
        words, table = view.locator("[role=option]"), view.locator("table.gb-table")
        assert words.all_text_contents() == ["One", " and", " one", " are"] and not table.is_visible()
        view.scroll_into_view_if_needed()
        words.nth(2).hover()
        assert said(view).startswith("' one': +1.000")
        view.get_by_role("radio", name="difference").check()
        assert said(view).startswith("' one': −1.000")
        page.keyboard.press("Tab")
        page.keyboard.press("Home")
        focused = page.evaluate_handle("document.activeElement")
        assert focused.text_content() == "One" and focused.evaluate(SHOWS_FOCUS)
        assert said(view).startswith("'One': +1.000")
        view.locator("summary").click()
        assert table.is_visible() and table.locator("tbody tr").count() == 4
        box = view.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width and view.evaluate(BOXES_OUTSIDE) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        ground = view.evaluate("view => getComputedStyle(view).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 200) == (scheme == "dark")
        assert [url for url in page.tab.requests if not url.startswith(small_shown.as_uri() + "/")] == []
        assert page.tab.failures == []
    finally:
        page.tab.context.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_view_in_a_chapter_of_a_built_book_without_scripts(small_shown, chromium, width):
    page = opened(chromium, small_shown / BUILT, width=width, java_script_enabled=False)
    try:
        [view] = page.locator(".cell_output .gb-view").all()
        assert view.locator(".gb-body").count() == 0
        rows = [row.locator("th, td").all_text_contents() for row in view.locator("table tr").all()]
        assert rows[0] == ["token", "sum", "difference"] and rows[3] == [" one", "1.000", "-1.000"]
        table = view.locator("table")
        assert table.is_visible() and table.bounding_box()["x"] + table.bounding_box()["width"] <= width
    finally:
        page.tab.context.close()


@pytest.mark.parametrize("place", ["notebook", "book"])
def test_without_scripts_the_tables_stand_there(request, chromium, views, place):
    write = request.getfixturevalue(f"{place}_page")
    page = opened(
        chromium, write([v._repr_html_() for v in views.values()], "all"), width=390, java_script_enabled=False
    )
    try:
        for kind, view in views.items():
            shown = view_on(page, kind)
            assert shown.locator(".gb-body").count() == 0
            for table, given in zip(shown.locator("table").all(), view.tables, strict=True):
                assert table.is_visible()
                cells = [row.locator("th, td").all_text_contents() for row in table.locator("tr").all()]
                assert cells == [list(given.columns), *map(list, given.rows)]
            box = shown.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    finally:
        page.tab.context.close()


def test_the_same_view_twice_on_a_page(chromium, views, notebook_page):
    once = views["token_strip"]._repr_html_()
    page = opened(chromium, notebook_page([once, once], "twice"))
    try:
        assert page.locator(".gb-body").count() == 2
        ids = page.locator(".gb-view").evaluate_all("views => views.map(view => view.id)")
        assert len(set(ids)) == 2
        one, other = page.locator(".gb-view").all()
        one.get_by_role("radio").nth(1).check()
        assert other.get_by_role("radio").nth(0).is_checked(), "they share their radios"
    finally:
        page.tab.context.close()


def test_a_view_that_can_not_be_drawn_leaves_its_tables(chromium, views, notebook_page):
    html = views["lens"]._repr_html_()
    broken = html.replace('"layers":', '"no layers":')
    assert broken != html
    page = opened(chromium, notebook_page([broken], "broken"))
    try:
        assert page.locator(".gb-body").count() == 0
        assert page.locator("table.gb-table").first.is_visible()
    finally:
        page.tab.context.close()


@pytest.fixture(scope="module")
def drawn(chromium, notebook_page):
    """Opens one view on a page of its own."""
    pages = []

    def draw(view, **form):
        file = notebook_page([view._repr_html_()], f"one-{len(pages)}")
        pages.append(opened(chromium, file, **form))
        return pages[-1].locator(".gb-view"), pages[-1]

    yield draw
    for page in pages:
        page.tab.context.close()


def test_attention_in_the_view_is_attention_in_the_table(smallworld, drawn):
    model, tokenizer = smallworld
    given = gb.views.attention(model, tokenizer, PROMPT, layer=3, head=5)
    view, _ = drawn(given)
    for query, row in enumerate(given.tables[0].rows):
        for key, cell in enumerate(row[1:]):
            if cell:
                square = view.locator("[role=grid]").nth(1).locator("[role=row]").nth(query).locator("g").nth(key)
                assert square.get_attribute("aria-label").endswith(f": {cell}")
    for layer, row in enumerate(given.tables[1].rows):
        for head in (0, 7):
            view.get_by_role("gridcell", name=f"layer {layer}, head {head}", exact=True).click()
            view.locator("[role=option]").last.click()
            token, _, share = row[1 + head].rpartition(" ")
            assert f"{token}' {share}" in said(view)
    norms = gb.explain(model, tokenizer, PROMPT, method="attention_norms", layer=2, position=7).details["norms"]
    view.get_by_role("gridcell", name="layer 2, head 6", exact=True).click()
    view.get_by_role("checkbox").check()
    view.locator("[role=option]").nth(7).click()
    found = [float(number) for number in re.findall(r"' (\d+\.\d+)", said(view))]
    assert found == pytest.approx(norms[6].sort(descending=True).values[: len(found)].tolist(), rel=0.03, abs=0.02)


def test_thirty_tokens_scroll_in_their_own_box_on_a_telephone(smallworld, drawn):
    model, tokenizer = smallworld
    ids = tokenizer("When Mary and John went to the station, John brought the map to Mary. " * 3, return_tensors="pt")
    ids = ids["input_ids"][:, :30]
    several = [gb.explain(model, tokenizer, ids, method=method) for method in ("rollout", "lrp")]
    for given in (
        gb.views.token_strip(several),
        gb.views.attention(model, tokenizer, ids),
        gb.views.lens(gb.logit_lens(model, tokenizer, ids)),
    ):
        view, page = drawn(given, width=390)
        assert view.evaluate(BOXES_OUTSIDE) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        box = view.bounding_box()
        assert box["x"] + box["width"] <= 390


def test_the_lens_shows_what_the_reading_says(smallworld, drawn):
    model, tokenizer = smallworld
    reading = gb.logit_lens(model, tokenizer, PROMPT)
    view, _ = drawn(gb.views.lens(reading, follow=[" London"]))
    ranks = reading.ranks(" London")
    for layer, position in ((6, 9), (2, 3), (0, 5)):
        rows = view.get_by_role("row").nth(1 + 6 - layer)
        rows.get_by_role("gridcell").nth(position).click()
        view.locator("select").select_option(label="London")
        best = reading.top(position)[layer]
        shown = [(word.strip(), share) for word, share in bars(view)]
        assert shown == [(word.strip(), f"{chance:.3f}".replace("0.000", "< 0.001")) for word, chance in best]
        assert f"' London' has rank {ranks[layer, position]} here" in said(view)
        chart = view.locator("svg[role=img]").get_attribute("aria-label")
        assert [int(n) for n in re.findall(r"layer \d+ (\d+)", chart)] == ranks[:, position].tolist()


def expected_after(logits, temperature, k, p):
    """What is left of a distribution, by the definitions of the first chapter."""
    values, order = (logits / temperature).softmax(-1).sort(descending=True, stable=True)
    kept = values.cumsum(0) - values < (p if p < 1 else 2)  # rounded, they reach one too early
    kept[len(kept) if k is None else k :] = False
    cut = torch.zeros_like(values)
    cut[order[kept]] = values[kept]
    return cut / cut.sum(), int(kept.sum())


@pytest.mark.parametrize(
    ("temperature", "k", "p"), [(1, None, 1), (2, 5, 1), (2.5, None, 0.8), (3, 8, 0.5), (0.5, 3, 0.95)]
)
def test_knobs_redraw_the_distribution(smallworld, drawn, temperature, k, p):
    model, tokenizer = smallworld
    prompt = "When Mary and John went to the"
    view, _ = drawn(gb.views.generation(model, tokenizer, prompt, new_tokens=4))
    logits = writing.write(model, tokenizer, prompt, new_tokens=4).logits[3].double()
    view.locator("[role=option]").nth(3).click()
    for name, value in (("temperature", temperature), ("top-k", k), ("top-p", p)):
        if value is not None:
            view.get_by_role("slider", name=name).fill(str(value))
    expected, count = expected_after(logits, temperature, k, p)
    shown = bars(view)
    assert len(shown) == 10
    for (_, share), word in zip(shown, logits.sort(descending=True, stable=True).indices, strict=False):
        if share == "cut off":
            assert expected[word] == 0
        else:
            assert float(share.removeprefix("< ")) == pytest.approx(float(expected[word]), abs=0.004)
    told = int(re.search(r"(\d+) of 1653 words are kept", said(view))[1])
    # Where the line is crossed among words that have no name here, how many there are is known to a few.
    assert told == pytest.approx(count, abs=0 if count <= 60 else 0.1 * count)


def test_the_slider_shows_what_was_written(smallworld, drawn):
    model, tokenizer = smallworld
    opposite = dict(positive=["The film was good"], negative=["The film was bad"])
    vector = gb.steering_vector(model, tokenizer, **opposite, layer=3)
    strengths = [-4, 0, 4]
    given = gb.views.steering(model, tokenizer, PROMPT, vector, strengths=strengths, new_tokens=5, watch=[" Paris"])
    view, _ = drawn(given)
    assert said(view).startswith("Strength 0: ") and view.locator(".gb-changed").count() == 0
    for place, row in enumerate(given.tables[0].rows):
        view.get_by_role("slider").fill(str(place))
        assert f"'{row[1]}'" in said(view)
        [(_, share)] = bars(view)
        assert share == row[3] or (share, row[3]) == ("< 0.001", "0.000")
