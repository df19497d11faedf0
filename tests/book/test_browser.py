"""The built book in a browser, opened from disk with the network cut, at the width of a desk and of a telephone."""

from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from tests.book.reading import pages

WIDTHS = (1280, 390)  # a desk and a telephone
AXE = Path(__file__).parents[1] / "vendor" / "axe-core" / "axe.min.js"

pytestmark = pytest.mark.timeout(1800)  # the first to ask for the book waits while all chapters run


@pytest.fixture(params=["book", "small_shown"])
def site(request) -> Path:
    return request.getfixturevalue(request.param)


class Tab:
    """A tab without a network, which notes every request, every failure and every error of a page's scripts."""

    def __init__(self, browser, **appearance):
        self.context = browser.new_context(offline=True, **appearance)
        self.context.set_default_timeout(120_000)  # a long chapter on a busy machine
        self.page = self.context.new_page()
        self.requests, self.failures = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("requestfailed", lambda request: self.failures.append(request.url))
        self.page.on("pageerror", lambda error: self.failures.append(f"{self.page.url}: {error}"))

    def open(self, file: Path):
        """Open a file and wait until its mathematics is drawn."""
        self.page.goto(file.as_uri(), wait_until="load")
        self.page.evaluate("window.MathJax?.startup?.promise.then(() => true)")
        return self.page


@pytest.fixture
def new_tab(chromium):
    tabs = []

    def make(**appearance) -> Tab:
        tabs.append(Tab(chromium, **appearance))
        return tabs[-1]

    yield make
    for tab in tabs:
        tab.context.close()


@pytest.fixture
def chapter_page(site) -> Path:
    (file, *_) = sorted((site / "chapters").glob("*.html"))
    return file


def test_no_page_asks_for_anything_outside_the_folder(site, new_tab):
    tab = new_tab()
    for page in pages(site):
        tab.open(page.file)
    listed = {url.removeprefix(site.as_uri() + "/") for url in tab.requests}
    print(*sorted(listed), sep="\n")
    assert {"index.html", "_static/documentation_options.js"} <= {url.partition("?")[0] for url in listed}
    assert [url for url in listed if ":" in url] == []
    assert tab.failures == []


def test_mathematics_is_drawn_in_its_own_font(chapter_page, new_tab):
    page = new_tab().open(chapter_page)
    page.wait_for_selector("mjx-container")
    assert page.locator("mjx-container").count() >= 2
    assert page.locator("mjx-merror").count() == 0
    assert "\\(" not in page.locator("article").inner_text()
    page.wait_for_function("[...document.fonts].some(f => f.family.startsWith('MJX') && f.status == 'loaded')")


def test_search_finds_a_term_from_disk(site, new_tab):
    page = new_tab().open(site / "index.html")
    page.locator(".search-button-field:visible, .search-button:visible").first.click()
    page.locator("#pst-search-dialog input[type=search]").fill("rollout")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results ul.search li a")
    found = page.locator("#search-results ul.search li a").evaluate_all("links => links.map(link => link.href)")
    assert any("glossary.html" in address for address in found)
    assert all(address.startswith(site.as_uri() + "/") for address in found)


def test_no_page_scrolls_sideways(site, new_tab):
    tab = new_tab()
    for page in pages(site):
        shown = tab.open(page.file)
        shown.evaluate("document.querySelectorAll('details').forEach(box => box.open = true)")
        for width in WIDTHS:
            shown.set_viewport_size({"width": width, "height": 900})
            assert shown.evaluate("document.documentElement.scrollWidth") <= width, page.file.name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_page(book, small_shown, new_tab, scheme):
    """All pages of the book, and a chapter whose solutions are shown, with what can be opened open."""
    tab, bad = new_tab(color_scheme=scheme), []
    files = [page.file for page in pages(book)] + [small_shown / "chapters" / "01_small.html"]
    print(f"\naxe-core, {scheme}: page, rules passed, violations")
    for file in files:
        page = tab.open(file)
        page.evaluate("document.querySelectorAll('details').forEach(box => box.open = true)")
        page.add_script_tag(path=AXE)
        result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        found = [(each["impact"], each["id"], len(each["nodes"])) for each in result["violations"]]
        print(f"{file.name:<24} {len(result['passes']):>3}  {found or 'none'}")
        bad += [(file.name, *each) for each in found if each[0] in ("serious", "critical")]
        assert len(result["passes"]) > 10, file.name
    assert len(files) > 15 and bad == []


@pytest.fixture
def rollout(book) -> Path:
    return book / "chapters" / "02_rollout.html"


def test_a_term_shows_its_definition_to_the_mouse_and_to_the_keyboard(rollout, new_tab):
    page = new_tab(viewport={"width": 1280, "height": 900}).open(rollout)
    for use in page.locator(".term-use").all():
        word, box = use.locator("a"), use.locator(".definition")
        assert word.get_attribute("aria-describedby") == box.get_attribute("id")
        assert not box.is_visible()
        word.hover()
        assert box.is_visible()
        at = box.bounding_box()
        assert 0 <= at["x"] and at["x"] + at["width"] <= 1280 and 0 <= at["y"] and at["y"] + at["height"] <= 900
        page.mouse.move(0, 0)
        assert not box.is_visible()
    word.focus()
    assert box.is_visible() and len(box.inner_text().split()) > 3
    page.keyboard.press("Escape")
    assert not box.is_visible()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert word.evaluate("word => word == document.activeElement") and box.is_visible()


def test_a_tap_on_a_term_leads_to_the_glossary(rollout, new_tab):
    page = new_tab(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True).open(rollout)
    page.locator(".term-use a", has_text="residual stream").tap()
    page.wait_for_url("**/glossary.html#term-residual-stream")


def test_without_scripts_a_definition_is_shown_too(rollout, new_tab):
    page = new_tab(java_script_enabled=False).context.pages[0]
    page.goto(rollout.as_uri())
    use = page.locator(".term-use").first
    use.locator("a").focus()
    assert use.locator(".definition").is_visible()


def test_hints_and_solutions_open_one_at_a_time(small_shown, new_tab):
    page = new_tab().open(small_shown / "chapters" / "01_small.html")
    hint, other = (page.locator("details", has=page.get_by_text(f"Hint {number}", exact=True)) for number in (1, 2))
    inside = hint.get_by_text("A sum has two terms")
    assert not inside.is_visible()
    hint.locator("summary").click()
    assert inside.is_visible() and other.get_attribute("open") is None
    solution = page.get_by_text("return marmalade_sum")
    assert not solution.is_visible()
    page.get_by_text("Solution", exact=True).first.click()
    assert solution.is_visible()


def test_prose_that_is_printed_wraps_and_code_scrolls_in_its_box(small_shown, new_tab):
    page = new_tab(viewport={"width": 390, "height": 844}).open(small_shown / "chapters" / "01_small.html")
    hidden = "box => box.scrollWidth - box.clientWidth"
    assert page.locator(".cell_output pre", has_text="goes on and on").evaluate(hidden) == 0
    assert page.locator("pre", has_text="the_answer = ").evaluate(hidden) > 100


def test_a_formula_and_the_mark_behind_it_stay_together(small_shown, new_tab):
    page = new_tab().open(small_shown / "chapters" / "01_small.html")
    together = page.locator("span.formula-and-mark", has=page.locator("mjx-container"))
    assert together.count() >= 1 and page.locator("mjx-container").count() > together.count()
    assert set(together.evaluate_all("all => all.map(one => one.lastChild.data)")) <= {".", ",", ")"}


def test_the_sidebar_shows_the_page_that_is_open(rollout, book, new_tab):
    """Also when it stood at its end on the page before; the theme would leave it there."""
    page = new_tab(viewport={"width": 1280, "height": 500}).open(book / "instructors_guide.html")
    bar = page.locator(".bd-sidebar-primary")
    assert bar.evaluate("bar => bar.scrollTop") > 100
    page = page.goto(rollout.as_uri()) and page
    page.wait_for_function(
        """() => {
            const [entry, bar] = [".bd-docs-nav li.current > a", ".bd-sidebar-primary"].map(
                each => document.querySelector(each).getBoundingClientRect());
            return entry.top >= bar.top && entry.bottom <= bar.bottom;
        }"""
    )


def test_figures_stand_on_white_in_the_dark(small_shown, new_tab):
    page = new_tab(color_scheme="dark").open(small_shown / "chapters" / "01_small.html")
    ground, effect, around = page.locator(".cell_output img").evaluate(
        "image => [getComputedStyle(image).backgroundColor, getComputedStyle(image).filter, "
        "getComputedStyle(document.body).backgroundColor]"
    )
    assert (ground, effect) == ("rgb(255, 255, 255)", "none")
    assert around != ground, "this was not the dark form of the page"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_marks_of_a_check_can_be_read(small_shown, new_tab, scheme):
    page = new_tab(color_scheme=scheme).open(small_shown / "chapters" / "01_small.html")
    tick, ground = page.locator(".-Color-Green").first.evaluate(
        "mark => [getComputedStyle(mark).color, getComputedStyle(mark.closest('pre')).backgroundColor]"
    )
    assert contrast(tick, ground) >= 4.5


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, `rgb(r, g, b)`, as the WCAG define it."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    shares = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_published_page_downloads_the_notebook(small_shown, chromium, tmp_path):
    with serving(small_shown) as address, chromium.new_page() as page:
        page.goto(f"{address}/chapters/01_small.html")
        with page.expect_download() as download:
            page.get_by_text("Download this chapter").click()
        assert download.value.suggested_filename == "01_small.ipynb"
        download.value.save_as(tmp_path / "mine.ipynb")
    assert (tmp_path / "mine.ipynb").read_bytes() == (small_shown / "notebooks" / "01_small.ipynb").read_bytes()


@contextmanager
def serving(site: Path):
    """Serve the folder on this machine alone; gives the address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            """The test's own report is enough."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
