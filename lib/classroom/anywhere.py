"""A chapter opened away from its course: in Colab, in Kaggle, in Binder, in VS Code on somebody's machine.

Each built notebook has one more cell in front of its code. Where the course is installed it does nothing at all;
elsewhere it says what is missing and has pip install the course from its repository. That address stands in
`[project.urls]` of pyproject.toml and nowhere else.
"""

import tomllib
from pathlib import Path

import nbformat
from nbformat import NotebookNode

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
BRANCH = "main"
SOURCE = """\
# Installs the course where it is missing (Colab, Kaggle, Binder, VS Code). Elsewhere it does nothing.
from importlib.util import find_spec

if find_spec("glassbox") is None:
    import importlib, subprocess, sys

    print("The course is not installed here, so pip installs it from {address}; this takes some minutes.")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "git+{address}"]
    installed = subprocess.run(pip, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    importlib.invalidate_caches()
    if installed.returncode or find_spec("glassbox") is None:
        print(installed.stdout[-2000:])
        raise ModuleNotFoundError(
            "pip could not install the course; its last words stand above. It needs Python 3.11 or newer, git, pip and "
            "a network. Without them, get a copy of {address} and type `make study` in it."
        )
    print("Installed. If a later cell says that a package has another version, restart the kernel and run on.")
"""


def repository(project: Path = PROJECT) -> str:
    """The address of the course's repository, without a slash at its end. Raises ValueError if there is none."""
    urls = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {}).get("urls", {})
    address = urls.get("Repository", "").rstrip("/")
    if not address.startswith("https://"):
        raise ValueError(f"{project}: `Repository` in [project.urls] is the address, https://…, found {address!r}")
    return address


def launches(chapter: str, project: Path = PROJECT) -> dict[str, str]:
    """The places that open a chapter of the repository -> their addresses; none for a repository outside GitHub."""
    address = repository(project)
    if not address.startswith("https://github.com/"):
        return {}
    owner = address.removeprefix("https://github.com/")
    return {
        "Colab": f"https://colab.research.google.com/github/{owner}/blob/{BRANCH}/chapters/{chapter}/{chapter}.ipynb",
        "Binder": f"https://mybinder.org/v2/gh/{owner}/{BRANCH}?urlpath=lab/tree/work/{chapter}/{chapter}.ipynb",
    }


def place(chapter: str) -> str:
    """The id of the cell in a chapter. It begins as the ids of the course's cells do, so that it is known for one."""
    return f"{chapter.replace('_', '-')}-anywhere"


def cell(chapter: str) -> NotebookNode:
    """The cell for a chapter: no marks, folded up, and JupyterLab lets nobody edit or delete it."""
    metadata = {"deletable": False, "editable": False, "jupyter": {"source_hidden": True}, "cellView": "form"}
    source = SOURCE.format(address=repository()).rstrip("\n")
    return nbformat.v4.new_code_cell(source, id=place(chapter), metadata=metadata)


def add(notebook: NotebookNode, chapter: str) -> None:
    """Put the cell in front of the notebook's first code cell."""
    kinds = [each.cell_type for each in notebook.cells]
    first = kinds.index("code") if "code" in kinds else len(kinds)
    notebook.cells.insert(first, cell(chapter))
