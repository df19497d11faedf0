"""Run a chapter's source once, in an environment that is the same on every machine, and keep the result.

The notebook with all its outputs is kept under `.cache/`, by a hash of everything that it could depend on, so that
building, testing and publishing share one run.
"""

import copy
import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from classroom.gates.outputs import COLOUR
from classroom.source import Chapter, Refused

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # sums come out the same, however many cores there are
    "PYTHONHASHSEED": "0",
    "HF_HUB_OFFLINE": "1",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "NO_COLOR": "1",
    "TQDM_DISABLE": "1",  # a bar tells how fast this machine is
}
# No note on the terminal about the transport, and nothing in the history of whoever runs this.
KERNEL_ARGUMENTS = ["--IPKernelApp.log_level=ERROR", "--HistoryManager.hist_file=:memory:"]
SECONDS_A_CELL = 300
CHAPTERS_AT_A_TIME = min(4, os.cpu_count() or 1)  # each takes a core and up to two gigabytes
PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "scipy", "matplotlib", "ipykernel")


def executed(chapter: Chapter) -> NotebookNode:
    """The source's notebook with its outputs. Raises `Refused` at the first cell that fails or writes to stderr."""
    kept = _kept(chapter)
    if kept.is_file():
        return nbformat.read(kept, as_version=4)
    notebook = run(chapter.notebook, lambda cell, message: Refused([chapter.problem(cell, message)]))
    kept.parent.mkdir(parents=True, exist_ok=True)
    for older in kept.parent.glob(f"{chapter.name}-*.ipynb"):
        older.unlink()
    write(kept, nbformat.writes(notebook))
    return notebook


def execute_all(chapters: Iterable[Chapter]) -> None:
    """Run side by side what `executed` would run one after the other. What is wrong with a chapter, `executed` says."""

    def attempt(chapter: Chapter) -> None:
        if not _kept(chapter).is_file():
            with suppress(Refused):
                executed(chapter)
                print(f"{chapter.name}  ran", flush=True)

    _make_font_cache()
    with ThreadPoolExecutor(CHAPTERS_AT_A_TIME) as pool:
        list(pool.map(attempt, chapters))


def run(notebook: NotebookNode, refuse: Callable[[NotebookNode, str], Exception]) -> NotebookNode:
    """Run a copy of `notebook` in an empty folder; `refuse(cell, message)` makes the error for a cell that fails."""
    notebook = copy.deepcopy(notebook)
    cells: list[NotebookNode] = []
    with tempfile.TemporaryDirectory() as empty:
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            extra_arguments=KERNEL_ARGUMENTS,
            timeout=SECONDS_A_CELL,
            iopub_timeout=30,
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": empty}},
            on_cell_start=lambda cell, cell_index: cells.append(cell),
        )
        try:
            client.execute(env=environment(empty))
        except CellExecutionError as error:
            raise refuse(cells[-1], f"stopped with {error.ename}: {error.evalue}") from error
        except CellTimeoutError as error:
            raise refuse(cells[-1], f"ran for more than {SECONDS_A_CELL} seconds") from error
        except DeadKernelError as error:
            raise refuse(cells[-1], "the kernel died (out of memory?)") from error
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                words = COLOUR.sub("", output.text).strip()
                raise refuse(cell, f"wrote to stderr, for which nbgrader gives no marks: {words[:300]}")
    return notebook


def environment(home: str) -> dict[str, str]:
    """The variables of a kernel: those of this process, the fixed ones, and no start-up files of whoever runs it."""
    _make_font_cache()
    return os.environ | ENVIRONMENT | {"IPYTHONDIR": home}


def write(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def _kept(chapter: Chapter) -> Path:
    return chapter.root / ".cache" / "executed" / f"{chapter.name}-{_fingerprint(chapter)}.ipynb"


def _make_font_cache() -> None:
    """On a fresh machine matplotlib lists the fonts first, and says so on stderr: let it do so here."""
    import matplotlib.font_manager

    matplotlib.font_manager.fontManager.findfont("DejaVu Sans")


def _fingerprint(chapter: Chapter) -> str:
    """A hash of the cells, of the code and weights they may use, and of the packages below."""
    digest = hashlib.sha256()
    cells = [(cell.id, cell.cell_type, cell.source, cell.metadata) for cell in chapter.notebook.cells]
    versions = [f"{name} {version(name)}" for name in PACKAGES]
    digest.update(json.dumps([cells, versions, ENVIRONMENT, _code()], sort_keys=True).encode())
    return digest.hexdigest()[:16]


@functools.cache  # read once, so that a file which is edited meanwhile does not send all chapters round again
def _code() -> str:
    digest = hashlib.sha256()
    for package in ("glassbox", "smallworld", "classroom.checks"):
        for folder in map(Path, find_spec(package).submodule_search_locations):
            for file in sorted(folder.rglob("*")):
                if file.is_file() and "__pycache__" not in file.parts:
                    digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return digest.hexdigest()
