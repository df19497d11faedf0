"""The frame that everything stands in: what is installed, what the two commands are, and what lies at the top."""

import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PLANNED = {
    *("README.md", "LICENSE", "CITATION.cff", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "environment.yml"),
    *("requirements.lock", "pyproject.toml", "nbgrader_config.py", ".gitignore", ".gitattributes"),
    *(
        ".pre-commit-config.yaml",
        ".github",
        ".ci",
        ".binder",
        ".devcontainer",
        "lib",
        "solutions",
        "chapters",
        "tests",
        "book",
    ),
}
# Places that exist on one machine only. A space or a quote goes before them, so that a URL's path is none.
MACHINE_PATH = re.compile(rb"""(?:^|[\s"'`(=:])(?:/(?:root|home|Users|work|opt|mnt)/\w|/tmp/\w|[A-Z]:\\Users)""", re.M)


def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [Path(name) for name in listing.decode().split("\0") if name and (ROOT / name).is_file()]


def pins(text: str) -> list[Requirement]:
    return [Requirement(line) for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def lock() -> list[Requirement]:
    return pins((ROOT / "requirements.lock").read_text(encoding="utf-8"))


def test_conda_supplies_python_and_pip_only_and_pip_installs_what_everybody_installs(project):
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *supplied, from_pip = environment["dependencies"]
    named = {re.match(r"[\w-]+", entry)[0]: entry for entry in supplied}
    assert set(named) == {"python", "pip"}
    assert from_pip == {"pip": ["-r requirements.lock", "-e ."]}
    assert named["python"].removeprefix("python").startswith(project["project"]["requires-python"])


def test_every_dependency_is_pinned_at_a_version_that_it_allows(project, lock):
    asked = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["test"]]
    pinned = {canonicalize_name(pin.name): pin for pin in lock}
    for requirement in map(Requirement, asked):
        pin = pinned.get(canonicalize_name(requirement.name))
        assert pin is not None, f"{requirement.name} is not in requirements.lock; run `make lock`"
        [version] = [part.version for part in pin.specifier]
        assert requirement.specifier.contains(version, prereleases=True), f"{pin} is not {requirement}; run `make lock`"


def test_the_lock_holds_one_exact_version_of_each_package(lock):
    assert len(lock) > 100
    assert [str(pin) for pin in lock if [part.operator for part in pin.specifier] != ["=="]] == []
    assert [name for name, count in Counter(canonicalize_name(pin.name) for pin in lock).items() if count > 1] == []


def test_the_lock_leaves_what_only_graphics_cards_need_to_torch(lock):
    assert [pin.name for pin in lock if re.match(r"nvidia|cuda|triton", pin.name)] == []


def test_the_lock_names_no_host_and_no_hash():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not re.search(r"://|--hash|--index|--find-links|file:", text)


def test_each_dependency_has_its_reason_beside_it():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lists = re.findall(r"^(?:dependencies|test) = \[\n(.*?)^\]", text, re.M | re.S)
    assert len(lists) == 2
    assert [line for entry in lists for line in entry.splitlines() if not re.search(r'",\s+# \w', line)] == []


def test_readme_sets_everything_up_with_two_commands_which_make_knows():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^```sh\n(.*?)^```", readme, re.M | re.S)
    commands = [line.partition("#")[0].strip() for line in block.splitlines()]
    assert commands == ["make study", "make test"]
    for command in commands:
        subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, check=True, capture_output=True)


def test_make_alone_lists_every_target():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    [phony] = re.findall(r"^\.PHONY: (.*)$", makefile, re.M)
    listing = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert re.findall(r"^  make (\w+)  +\w", listing, re.M) == phony.split()
    assert {"help", "study", "test", "build", "book", "read", "lock", "clean"} <= set(phony.split())


def test_the_top_level_holds_what_is_planned():
    assert {path.parts[0] for path in tracked()} <= PLANNED


# The sandbox has folders of its own, in memory, and those who attack it know them.
SANDBOX = {("lib", "classroom", "grade"), ("tests", "grading", "hostile"), ("tests", "grading", "test_sandbox.py")}
SANDBOX_PATH = re.compile(rb"/(tmp|home/s)")


def test_a_path_of_one_machine_is_recognised():
    for path in (b"see /home/ada/x", b'"/work/main"', b"C:\\Users\\ada", b"(/tmp/x)"):
        assert MACHINE_PATH.search(path), path
    for text in (b"https://example.org/home/ada", b"`work/02_rollout`", b"~/work/x", b"and/or", b"/usr/bin/chromium"):
        assert not MACHINE_PATH.search(text), text


def test_no_file_names_a_path_of_one_machine():
    exempt = {Path(__file__).relative_to(ROOT)}
    found = {
        f"{path}: {match[0]!r}"
        for path in set(tracked()) - exempt
        if path.suffix not in {".safetensors", ".png", ".npz", ".woff2"}
        for match in MACHINE_PATH.finditer((ROOT / path).read_bytes())
        if not (path.parts[:3] in SANDBOX and SANDBOX_PATH.search(match[0]))
    }
    assert not found


def test_nothing_that_a_student_or_a_run_makes_is_tracked():
    for name in ("work/01_x/01_x.ipynb", ".venv/bin/python", ".cache/x", "gradebook.db", "submitted/a", "autograded/a",
                 "feedback/a", "book/_build/html/index.html"):  # fmt: skip
        ignored = subprocess.run(["git", "check-ignore", "--quiet", "--no-index", name], cwd=ROOT)
        assert ignored.returncode == 0, f"{name} is not ignored"
    listed = subprocess.run(["git", "ls-files", "-ci", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    assert listed.stdout == ""


@pytest.mark.parametrize("asked", ["check --output-format=concise", "format --check lib tests solutions"])
def test_ruff_has_nothing_to_say(asked):
    command = [sys.executable, "-m", "ruff", *asked.split(), "--quiet"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr


def test_what_the_readme_and_its_neighbours_link_to_is_there():
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        links = [link for link in re.findall(r"\]\(([^)#\s]+)\)", text) if "://" not in link]
        assert [link for link in links if not (ROOT / link).exists()] == [], name


def test_the_licence_file_holds_both_licences():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    for words in ("MIT License", "CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/legalcode", "Copyright (c)"):
        assert words in text


def test_the_citation_can_be_read_and_names_this_version(project):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == project["project"]["version"]
    assert {"cff-version", "message", "title", "authors", "license"} <= set(citation)
