"""A student's own copies of the chapters, and JupyterLab to study them in.

The chapters in `chapters/` are built and never edited. A student works in `work/`, which Git does not track, so that an
update of the course and a student's answers never meet. JupyterLab runs with the settings in `classroom/jupyter/`: no
panels for teachers, no news, no looking for updates. They reach it through its environment, so that whatever else the
student does with Jupyter keeps its own settings.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

SETTINGS = Path(__file__).parent / "jupyter"


def chapters(root: Path) -> dict[str, Path]:
    """The built chapters by name, in the course's order."""
    found = {folder.name: folder / f"{folder.name}.ipynb" for folder in sorted((root / "chapters").glob("*"))}
    return {name: notebook for name, notebook in found.items() if notebook.is_file()}


def start(root: Path, names: Iterable[str] = ()) -> dict[Path, bool]:
    """Give the student a copy in `work/` of each named chapter (of all, when none is named).

    Returns each copy's path with True when it is new, and False when the student already had one: that one is left
    as it is. Raises ValueError for a name that is no chapter.
    """
    available = chapters(root)
    copies = {name: root / "work" / name / f"{name}.ipynb" for name in checked(names, available)}
    return {copy: _copy_once(available[name], copy) for name, copy in copies.items()}


def checked(names: Iterable[str], available: Mapping[str, Path]) -> list[str]:
    """The names in full (08 for 08_steering), or all that are available when there are none.

    Raises ValueError for a name that is no chapter.
    """
    names = list(names) or list(available)
    in_full = {name.partition("_")[0]: name for name in available} | {name: name for name in available}
    if unknown := [name for name in names if name not in in_full]:
        raise ValueError(f"no chapter is named {', '.join(unknown)}; there are: {', '.join(available) or 'none yet'}")
    return [in_full[name] for name in names]


def _copy_once(source: Path, target: Path) -> bool:
    """Copy whole or not at all, and never over something that is there."""
    if target.exists():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, half_written = tempfile.mkstemp(dir=target.parent, prefix=".copying-", suffix=".ipynb")
    os.close(handle)
    try:
        shutil.copyfile(source, half_written)
        os.chmod(half_written, 0o644)
        os.replace(half_written, target)
    except BaseException:
        os.unlink(half_written)
        raise
    return True


def has_screen(environment: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether a browser opened here would be seen by the person who typed the command."""
    if environment.get("SSH_CONNECTION") or environment.get("SSH_TTY"):
        return False
    return platform != "linux" or bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def jupyter_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that JupyterLab starts with: the course's settings go before the student's own."""
    paths = filter(None, [str(SETTINGS), environment.get("JUPYTER_CONFIG_PATH")])
    return {**environment, "JUPYTER_CONFIG_PATH": os.pathsep.join(paths)}


def jupyter_command(root: Path, first: Path) -> list[str]:
    """The command that serves `work/` and opens the notebook `first`."""
    work = root / "work"
    command = [
        sys.executable, "-m", "jupyterlab",
        f"--ServerApp.root_dir={work}",
        f"--LabApp.default_url=/lab/tree/{first.relative_to(work).as_posix()}",
    ]  # fmt: skip
    if not has_screen(os.environ):
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    return command


def serve(root: Path, first: Path) -> None:
    """Become JupyterLab. It looks for a free port by itself and prints the address."""
    # From the repository's root, because there nbgrader's Validate finds the course's nbgrader_config.py.
    os.chdir(root)
    os.execve(sys.executable, jupyter_command(root, first), jupyter_environment(os.environ))
