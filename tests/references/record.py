"""Record again what other implementations answer, each from an environment of its own.

    python -m tests.references.record                    all of them; ten minutes, and some GB in a temporary folder
    python -m tests.references.record lxt tuned_lens     some
    python -m tests.references.record --keep envs        with the environments made in envs/, or still there

These references can't live in the course's environment: they need another transformers, or patch modules for a whole
process. with_NAME.py asks a reference; environments/ENVIRONMENT.txt holds what is installed for it, every package
pinned; and recorded/NAME.npz keeps its answers, with the pins beside them so that a test sees when they part.
"""

import argparse
import importlib
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from types import ModuleType

import numpy as np

HERE = Path(__file__).resolve().parent
TORCH = "torch==2.13.0"


def names() -> list[str]:
    return sorted(path.stem.removeprefix("with_") for path in HERE.glob("with_*.py"))


def recorder(name: str) -> ModuleType:
    """The module with_NAME: its ENVIRONMENT; RUNS, the arguments of `record`, which answers with named arrays; and
    whether each run needs a process ALONE."""
    return importlib.import_module(f".with_{name}", __package__)


def recorded(name: str) -> dict[str, np.ndarray]:
    """What this reference answered, by `subject/what`."""
    with np.load(HERE / "recorded" / f"{name}.npz") as arrays:
        return dict(arrays)


def pins(environment: str) -> str:
    return (HERE / "environments" / f"{environment}.txt").read_text(encoding="utf-8")


def python_of(environment: str, folder: Path) -> Path:
    """The Python of this environment with exactly the pinned packages, made in `folder` unless it is there."""
    folder = folder / environment
    python, made = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python", folder / "pins.txt"
    if not made.exists() or made.read_text(encoding="utf-8") != pins(environment):
        venv.create(folder, with_pip=True, clear=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, TORCH], check=True)
        # Some of them ask for another torch, or for graphics packages that nothing here uses.
        subprocess.run(
            [*install, "--no-deps", "--requirement", HERE / "environments" / f"{environment}.txt"], check=True
        )
        made.write_text(pins(environment), encoding="utf-8")
    return python


def record(name: str, environments: Path, folder: Path) -> None:
    """Ask this reference everything, and keep what it answers."""
    asked = recorder(name)
    python = python_of(asked.ENVIRONMENT, environments)
    arrays = {"pins": np.array(pins(asked.ENVIRONMENT))}
    runs = list(range(len(asked.RUNS)))
    for number, some in enumerate([[run] for run in runs] if asked.ALONE else [runs]):
        file = folder / f"{name}-{number}.npz"
        # From the folder above, since some packages install a `tests` of their own.
        command = [python, "-W", "ignore", "-m", f"{HERE.name}.record", "--answer", file, name, *map(str, some)]
        subprocess.run(command, cwd=HERE.parent, check=True)
        with np.load(file) as part:
            arrays |= dict(part)
    np.savez_compressed(HERE / "recorded" / f"{name}.npz", **dict(sorted(arrays.items())))


def answer(file: str, name: str, *numbers: str) -> None:
    """Inside the environment: the runs with these numbers."""
    asked, arrays = recorder(name), {}
    for run in (asked.RUNS[int(number)] for number in numbers):
        print(name, *run, flush=True)
        arrays |= {key: np.asarray(value) for key, value in asked.record(*run).items()}
    np.savez(file, **arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"which references: {', '.join(names())}")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the environments stay")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for name in chosen.names or names():
            record(name, (chosen.keep or Path(temporary)).resolve(), Path(temporary))


if __name__ == "__main__":
    answer(*sys.argv[2:]) if sys.argv[1:2] == ["--answer"] else main()
