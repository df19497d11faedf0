"""What is missing or wrong on this machine, in words, and the line that mends it.

Each examination looks at one thing and returns what it found. It needs as little as it can: the one for packages must
still speak when half of the packages are missing, so everything else is loaded where it is used.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

INSTALL_AGAIN = "python -m pip install -r requirements.lock && python -m pip install --no-deps -e ."
FREE_SPACE_NEEDED = 1_000_000_000  # bytes: the book, the cache of executed chapters, and a student's copies


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `mend` is empty when all is well, `needed` false when one can do without."""

    subject: str
    words: str
    mend: str = ""
    needed: bool = True

    @property
    def line(self) -> str:
        sign = "ok     " if not self.mend else "WRONG  " if self.needed else "without"
        return f"{sign}  {self.subject}: {self.words}" + (f"\n         mend it with: {self.mend}" if self.mend else "")


def report(root: Path) -> int:
    """Print what was found; 1 when something that the course needs is wrong, otherwise 0."""
    findings = []
    for finding in examine(root):
        print(finding.line, flush=True)
        findings.append(finding)
    wrong = [finding.subject for finding in findings if finding.mend and finding.needed]
    print(f"\nTo be mended: {', '.join(wrong)}." if wrong else "\nNothing that the course needs is missing.")
    return 1 if wrong else 0


def examine(root: Path) -> Iterator[Finding]:
    """Every examination, the ones that the others stand on first."""
    yield python(root)
    yield packages(root)
    yield the_course_itself(root)
    yield disk_space(root)
    for weights in ("", "digits"):
        yield model_weights(root / "lib" / "smallworld" / "weights" / weights)
    yield kernel()
    yield marking()
    yield browser()
    yield from sandbox()
    yield from built_chapters(root)
    yield from own_copies(root)


def python(root: Path) -> Finding:
    """Is this Python one that the course runs on?"""
    running = ".".join(map(str, sys.version_info[:3]))
    wanted = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    if running in SpecifierSet(wanted):
        return Finding("Python", f"{running} in {sys.prefix}")
    return Finding("Python", f"this is {running}, and the course needs {wanted}", "make study, with a newer python3")


def locked(root: Path) -> list[Requirement]:
    """What requirements.lock pins, as far as it concerns this system."""
    lines = (root / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return [pin for pin in pins if pin.marker is None or pin.marker.evaluate()]


def packages(root: Path) -> Finding:
    """Is each package here at the version that everybody else has?"""
    pins, faults = locked(root), []
    for pin in pins:
        try:
            version = importlib.metadata.version(pin.name)
        except importlib.metadata.PackageNotFoundError:
            faults.append(f"{pin.name} is missing")
        else:
            if not pin.specifier.contains(version, prereleases=True):
                faults.append(f"{pin.name} is {version}, not {str(pin.specifier).removeprefix('==')}")
    if faults:
        listed = "; ".join(faults[:8]) + (f"; and {len(faults) - 8} more" if len(faults) > 8 else "")
        return Finding("packages", listed, INSTALL_AGAIN)
    return Finding("packages", f"all {len(pins)} at the versions in requirements.lock")


def the_course_itself(root: Path) -> Finding:
    """Do `import glassbox` and its sisters find this checkout, and not another one?"""
    for name in ("glassbox", "smallworld", "classroom"):
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            return Finding("the course itself", f"{name} is not installed", "python -m pip install --no-deps -e .")
        if not Path(spec.origin).resolve().is_relative_to(root.resolve()):
            words = f"{name} comes from {spec.origin}, which is not in {root}"
            return Finding("the course itself", words, "python -m pip install --no-deps -e .")
    return Finding("the course itself", f"glassbox, smallworld and classroom come from {root / 'lib'}")


def disk_space(root: Path) -> Finding:
    """Is there room for what the course writes?"""
    free = shutil.disk_usage(root).free
    words = f"{free / 1e9:.1f} GB free where the course lies"
    if free < FREE_SPACE_NEEDED:
        return Finding("disk space", f"{words}, and {FREE_SPACE_NEEDED / 1e9:.0f} GB are needed", "make clean")
    return Finding("disk space", words)


def model_weights(folder: Path) -> Finding:
    """Are the weights here the ones that were shipped, and can they be read?"""
    subject, file = f"weights in {folder.name}", folder / "model.safetensors"
    mend = f"git checkout -- lib/smallworld/{'weights' if folder.name == 'weights' else 'weights/' + folder.name}"
    if not file.is_file():
        return Finding(subject, f"{file.name} is missing", mend)
    try:
        expected = json.loads((folder / "report.json").read_text(encoding="utf-8"))["sha256"][file.name]
    except (OSError, ValueError, KeyError):
        return Finding(subject, "report.json, which holds their checksum, is missing or damaged", mend)
    if hashlib.sha256(file.read_bytes()).hexdigest() != expected:
        return Finding(subject, f"{file.name} is not the file that was shipped: its checksum differs", mend)
    if importlib.util.find_spec("safetensors") is None:
        return Finding(subject, "whole, but safetensors, which reads them, is missing", INSTALL_AGAIN)
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as tensors:
            count = sum(tensors.get_tensor(name).size for name in tensors.keys())
    except SafetensorError as error:
        return Finding(subject, f"{file.name} cannot be read: {error}", mend)
    return Finding(subject, f"{count:,} numbers, as shipped")


def kernel() -> Finding:
    """Will the notebooks, which ask for the kernel python3, run in this environment?"""
    mend = "python -m pip install --force-reinstall --no-deps ipykernel"
    if any(importlib.util.find_spec(name) is None for name in ("ipykernel", "jupyter_client")):
        return Finding("kernel", "ipykernel, which runs the notebooks, is missing", INSTALL_AGAIN)
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        program = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        return Finding("kernel", "Jupyter knows no kernel named python3", mend)
    if os.path.abspath(program) != os.path.abspath(sys.executable) and program not in ("python", "python3"):
        return Finding("kernel", f"python3 would start {program}, not this environment's {sys.executable}", mend)
    return Finding("kernel", f"python3 starts {sys.executable}")


def marking() -> Finding:
    """Can nbgrader make its gradebook? It starts `alembic` by name, and leaves half of one behind when it can't."""
    place = shutil.which("alembic")
    if place is None:
        return Finding("marking", "alembic, which nbgrader starts by name, is not on the path", INSTALL_AGAIN)
    return Finding("marking", f"nbgrader finds {place}")


def chromium() -> str | None:
    """The Chromium or Chrome on this machine, if there is one."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    places = [shutil.which(name) for name in names] + ["/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"]
    return next((place for place in places if place and Path(place).exists()), None)


def browser() -> Finding:
    """Is there a Chromium for the tests of JupyterLab and of the book?"""
    place = chromium()
    if place is None:
        words = "none here, so the tests that look at pages are skipped; studying needs none"
        return Finding("Chromium", words, chromium_install_line(), needed=False)
    return Finding("Chromium", place)


def chromium_install_line(platform: str = sys.platform) -> str:
    """The line that would install Chromium here."""
    return "brew install --cask google-chrome" if platform == "darwin" else "sudo apt-get install chromium"


def sandbox() -> Iterator[Finding]:
    """What keeps students' code apart from everything else while it is graded: each protection, on or off."""
    if any(importlib.util.find_spec(name) is None for name in ("torch", "numpy")):
        yield Finding("sandbox", "not looked at: torch or numpy is missing", INSTALL_AGAIN)
        return
    from classroom.grade.sandbox import INSTALL, protections

    for protection in protections():
        if protection.on:
            yield Finding("sandbox", f"{protection.name}: on")
        elif protection.needed:
            words = f"{protection.name}: off, {protection.reason}; `classroom grade` needs it, studying does not"
            yield Finding("sandbox", words, INSTALL, needed=False)
        else:
            yield Finding("sandbox", f"{protection.name}: off, {protection.reason}")


def built_chapters(root: Path) -> Iterator[Finding]:
    """Is each chapter in chapters/ what its source in solutions/ builds today?"""
    if importlib.util.find_spec("jupytext") is None or importlib.util.find_spec("nbformat") is None:
        yield Finding("chapters", "not looked at: jupytext and nbformat are missing", INSTALL_AGAIN)
        return
    from classroom.build import student, to_json
    from classroom.source import chapters, load

    sources = chapters(root)
    if not sources:
        yield Finding("chapters", "solutions/ holds no chapter", "git checkout -- solutions")
    for source in sources:
        name, mend = source.stem, f"classroom build {source.stem}"
        notebook = root / "chapters" / name / f"{name}.ipynb"
        try:
            built = to_json(student(load(source)))
        except Exception as error:  # whatever a broken source brings about is to be said, not thrown
            words = "its source does not build: " + (str(error).splitlines() or [type(error).__name__])[0]
            yield Finding(f"chapter {name}", words, f"git diff solutions/{source.name}")
            continue
        if not notebook.is_file():
            yield Finding(f"chapter {name}", "not built", mend)
        elif notebook.read_text(encoding="utf-8") != built:
            yield Finding(f"chapter {name}", "its notebook is not what its source builds", mend)
        else:
            yield Finding(f"chapter {name}", "built, and up to date with its source")


def own_copies(root: Path) -> Iterator[Finding]:
    """Does each copy in work/ still have the questions of the chapter that it came from?"""
    from classroom.study import chapters

    for name, notebook in chapters(root).items():
        copy = root / "work" / name / f"{name}.ipynb"
        if not copy.is_file():
            continue
        afresh = f"mv work/{name} work/{name}-old && classroom start {name}"
        try:
            missing = _questions(notebook) - _questions(copy)
        except (ValueError, KeyError, TypeError, AttributeError):
            yield Finding(f"your copy of {name}", "no longer a notebook that can be read", afresh)
            continue
        if missing:
            words = f"made from an older chapter; it lacks {', '.join(sorted(missing))}. Then move your answers over"
            yield Finding(f"your copy of {name}", words, afresh)
        else:
            yield Finding(f"your copy of {name}", "has every question of the chapter")


def _questions(notebook: Path) -> set[str]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return {cell["metadata"]["nbgrader"]["grade_id"] for cell in cells if "nbgrader" in cell["metadata"]}
