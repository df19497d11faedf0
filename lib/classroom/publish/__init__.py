"""The book: a site of the chapters and of what stands around them, which reads offline and from disk.

`write_source` gathers the folder that Jupyter Book builds: what people wrote in `book/`, a page for each chapter, and
the notebooks to download. `publish` builds it beside its destination, with every warning an error, and moves the site
into place when it is whole.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import nbformat

from classroom import build, execute, source
from classroom.publish import at_a_glance, printed, reference, rubrics
from classroom.publish.page import page

# The package cannot be run as a module, and its program need not be on the path.
JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"
TERMINAL = re.compile(r"\x1b\[[\d;]*[mK]")
PROGRESS = ("reading sources... [", "writing output... [")


class Unpublished(click.ClickException):
    """A book that can't be published, with the reason: where it should go, or the warnings of its build."""


def publish(root: Path, solutions: str = "hidden", out: Path | None = None, pdf: bool = False) -> Path:
    """Build the book of the course in `root` with its solutions "shown" or "hidden"; return the site's first page.

    The site goes to `out`, or to `book/_build/html`; with `pdf`, the book on paper lies in it, too. Raises ValueError
    for another value of `solutions`; `Refused` for a chapter that `classroom build` would refuse; `Unpublished` for an
    `out` that holds something other than a built book, and for a book that does not build without a warning;
    `Unprinted` for one that Chromium can't print. What stood at `out` is then left as it was.
    """
    if solutions not in ("shown", "hidden"):
        raise ValueError(f'solutions={solutions!r}: it must be "shown" or "hidden"')
    out = (out or root / "book" / "_build" / "html").absolute()
    if out.exists() and not (out.is_dir() and ((out / "searchindex.js").is_file() or not any(out.iterdir()))):
        raise Unpublished(f"{out} is there and is no built book; name a folder that is empty or does not exist")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".book-", dir=out.parent) as workshop:
        written = Path(workshop, "source")
        write_source(root, written, solutions)
        built = _build_site(written, Path(workshop))
        if pdf:
            print("Printing the book", flush=True)
            printed.print_book(built, written / "_toc.yml")
        if out.exists():
            out.rename(Path(workshop, "before"))
        built.rename(out)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file()) / 1e6
    print(f"The book is in {out / 'index.html'} ({size:.1f} MB, solutions {solutions}).")
    if pdf:
        print(f"On paper it is {out / printed.NAME}.")
    return out / "index.html"


def write_source(root: Path, folder: Path, solutions: str) -> None:
    """Write to `folder` everything that Jupyter Book needs to build the book with the solutions "shown" or "hidden"."""
    shutil.copytree(root / "book", folder, ignore=shutil.ignore_patterns("_build"))
    shutil.copy(root / "CHANGELOG.md", folder / "changelog.md")
    pages, notebooks = folder / "chapters", folder / "downloads" / "notebooks"
    pages.mkdir()
    notebooks.mkdir(parents=True)
    chapters = [source.load(path) for path in source.chapters(root)]
    execute.execute_all(chapters)
    for number, chapter in enumerate(chapters, start=1):
        print(f"Page {number} of {len(chapters)}: {chapter.name}", flush=True)
        built = build.build(chapter)
        made = page(chapter, build.student(chapter), execute.executed(chapter), show_solutions=solutions == "shown")
        nbformat.write(made, pages / f"{chapter.name}.ipynb")
        notebook = built[root / "chapters" / chapter.name / f"{chapter.name}.ipynb"]
        (notebooks / f"{chapter.name}.ipynb").write_text(notebook, encoding="utf-8", newline="\n")
    _fill(folder / "cheat_sheet.md", at_a_glance.PLACE, at_a_glance.table(chapters))
    shown = rubrics.rubrics(chapters, show_solutions=solutions == "shown")
    _fill(folder / "instructors_guide.md", rubrics.PLACE, shown)
    _fill(folder / "reference.md", reference.PLACE, reference.reference())


def _fill(page: Path, place: str, text: str) -> None:
    page.write_text(page.read_text(encoding="utf-8").replace(place, text), encoding="utf-8", newline="\n")


def _build_site(written: Path, workshop: Path) -> Path:
    """Run Jupyter Book on the folder `written`, showing which page it is at; return the folder of the built site."""
    command = [sys.executable, "-c", JUPYTER_BOOK, "build", written, "--path-output", workshop]
    strict = ["--warningiserror", "--keep-going", "-n"]
    print("Building the site", flush=True)
    log = []
    with subprocess.Popen(
        [*command, *strict], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
    ) as process:
        for line in process.stdout:
            line = TERMINAL.sub("", line).replace(f"{written}/", "")
            log.append(line)
            if line.startswith(PROGRESS):
                print(" ", line.strip(), flush=True)
    if process.returncode:
        wrong = [line for line in log if "WARNING" in line or "ERROR" in line] or log[-20:]
        raise Unpublished("the book does not build without a warning\n" + "".join(wrong))
    return workshop / "_build" / "html"
