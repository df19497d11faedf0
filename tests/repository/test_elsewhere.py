"""Where the course runs without being installed by hand, and where it is published: containers, Binder, GitHub."""

import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from classroom.publish import publish
from classroom.study import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
BINDER, CONTAINER = ROOT / ".binder", ROOT / ".devcontainer"


def lines(path: Path) -> list[str]:
    found = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return [line for line in found if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def python() -> SpecifierSet:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return SpecifierSet(project["project"]["requires-python"])


def test_binder_installs_the_lock_and_the_course_and_makes_the_copies(python):
    index, lock = lines(BINDER / "requirements.txt")
    assert (BINDER / lock.removeprefix("-r ")).resolve() == ROOT / "requirements.lock"
    torch = next(pin for pin in lines(ROOT / "requirements.lock") if pin.startswith("torch=="))
    assert Requirement(torch.partition(" ")[0]).specifier.contains("2.13.0+cpu"), "a build for processors fits the pin"
    assert index.startswith("--extra-index-url https://download.pytorch.org/")
    [version] = lines(BINDER / "runtime.txt")
    assert python.contains(version.removeprefix("python-"))
    install, copies = lines(BINDER / "postBuild")[1:]
    assert "--no-deps -e ." in install and copies == "classroom start --all"


def test_binder_starts_jupyter_with_the_courses_settings():
    asked = [BINDER / "start", sys.executable, "-c", "import os; print(os.environ['JUPYTER_CONFIG_PATH'])"]
    said = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    assert Path(said) == SETTINGS
    assert os.access(BINDER / "postBuild", os.X_OK)


def test_the_container_has_what_grading_and_tests_need_and_opens_the_copies(python):
    container = json.loads((CONTAINER / "devcontainer.json").read_text(encoding="utf-8"))
    recipe = (CONTAINER / container["build"]["dockerfile"]).read_text(encoding="utf-8")
    [version] = re.findall(r"^FROM \S+/python:(\d+\.\d+)-", recipe, re.MULTILINE)
    assert python.contains(version)
    [packages] = re.findall(r"apt-get install .*?((?: [a-z]+)+) \\$", recipe, re.MULTILINE)
    assert {"bubblewrap", "chromium", "make"} <= set(packages.split())
    created = container["postCreateCommand"].split(" && ")
    assert created == ["make install", ".venv/bin/classroom start --all"], "make install installs requirements.lock"
    assert "requirements.lock" in (ROOT / "lib" / "classroom" / "install.sh").read_text(encoding="utf-8")
    assert container["postAttachCommand"] == "make study"
    freed = {value for value in container["runArgs"] if value != "--security-opt"}
    assert {"seccomp=unconfined", "systempaths=unconfined"} <= freed, "bubblewrap makes namespaces and mounts /proc"


def workflow() -> dict:
    return yaml.safe_load((ROOT / ".github" / "workflows" / "book.yml").read_text(encoding="utf-8"))


def test_the_workflow_builds_the_book_and_uploads_what_publishing_wrote():
    build = workflow()["jobs"]["build"]["steps"]
    commands = [step["run"] for step in build if "run" in step]
    assert commands == ["make book"]
    [upload] = [step for step in build if step.get("uses", "").startswith("actions/upload-pages-artifact@")]
    default = re.search(r'root((?: / "\w+")+)', inspect.getsource(publish))[1]
    assert upload["with"]["path"] == "/".join(re.findall(r'"(\w+)"', default)) == "book/_build/html"
    assert build.index(upload) > [step.get("run") for step in build].index("make book")


def test_the_workflow_uses_official_actions_and_asks_for_no_more_than_it_needs():
    found = workflow()
    steps = [step for job in found["jobs"].values() for step in job["steps"] if "uses" in step]
    assert steps and all(re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]) for step in steps)
    assert found["permissions"] == {"contents": "read"}
    given = {name: job.get("permissions", {}) for name, job in found["jobs"].items()}
    assert given == {"build": {}, "deploy": {"pages": "write", "id-token": "write"}}
    assert found["jobs"]["deploy"]["needs"] == "build"
