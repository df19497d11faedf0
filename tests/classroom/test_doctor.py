"""Each examination, on a sound checkout and on one with that very thing broken."""

import json
import re
import shutil
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from classroom import doctor
from classroom.grade.sandbox import Protection

ROOT = Path(__file__).resolve().parents[2]
DIGITS = Path("lib/smallworld/weights/digits")


@pytest.fixture
def root(tmp_path):
    """What the doctor looks at, in a copy that may be broken."""
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / DIGITS, tmp_path / DIGITS)
    return tmp_path


def is_fine(finding: doctor.Finding, *words: str) -> None:
    assert not finding.mend, finding.line
    assert all(word in finding.words for word in words), finding.line


def is_wrong(finding: doctor.Finding, *words: str) -> None:
    assert finding.mend and finding.needed, finding.line
    assert all(word in finding.words for word in words), finding.line


def test_python(root, monkeypatch):
    is_fine(doctor.python(root), ".".join(map(str, sys.version_info[:3])))
    monkeypatch.setattr(doctor.sys, "version_info", (3, 10, 14, "final", 0))
    is_wrong(doctor.python(root), "3.10.14", ">=3.11")


def test_packages_are_those_in_the_lock(root):
    is_fine(doctor.packages(root), "versions in requirements.lock")


def test_a_package_that_is_missing_or_another_version_is_named(root):
    lock = root / "requirements.lock"
    text = re.sub(r"^numpy==\S+", "numpy==1.0.0", lock.read_text(), flags=re.M)
    lock.write_text(text + "not-on-any-machine==1.0\nonly-for-others==2.0 ; sys_platform == 'none-such'\n")
    finding = doctor.packages(root)
    is_wrong(finding, "not 1.0.0", "not-on-any-machine is missing")
    assert "only-for-others" not in finding.words
    assert "pip install -r requirements.lock" in finding.mend


def test_a_build_for_processors_only_is_the_same_version(root):
    (root / "requirements.lock").write_text("torch==2.13.0\n")
    is_fine(doctor.packages(root), "all 1")


def test_the_course_comes_from_this_checkout(root):
    is_fine(doctor.the_course_itself(ROOT))
    is_wrong(doctor.the_course_itself(root), "glassbox comes from")


def test_disk_space(root, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**11, 10**10, 3 * 10**9))
    is_fine(doctor.disk_space(root), "3.0 GB")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**11, 10**11, 2 * 10**8))
    is_wrong(doctor.disk_space(root), "0.2 GB")


def test_weights_as_shipped(root):
    is_fine(doctor.model_weights(root / DIGITS), "6,570 numbers")


@pytest.mark.parametrize("name", ["model.safetensors", "report.json"])
def test_weights_that_are_missing(root, name):
    (root / DIGITS / name).unlink()
    is_wrong(doctor.model_weights(root / DIGITS), name, "missing")


def test_weights_with_one_other_byte(root):
    file = root / DIGITS / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    finding = doctor.model_weights(root / DIGITS)
    is_wrong(finding, "checksum differs")
    assert finding.mend == "git checkout -- lib/smallworld/weights/digits"


def test_weights_whose_checksum_fits_but_which_are_no_weights(root):
    file, report = root / DIGITS / "model.safetensors", root / DIGITS / "report.json"
    file.write_bytes(b"version https://git-lfs.github.com/spec/v1")
    checksum = doctor.hashlib.sha256(file.read_bytes()).hexdigest()
    report.write_text(json.dumps({"sha256": {"model.safetensors": checksum}}))
    is_wrong(doctor.model_weights(root / DIGITS), "cannot be read")


def test_the_kernel_is_this_environments(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    is_fine(doctor.kernel(), sys.executable)
    spec = tmp_path / "kernels" / "python3"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(json.dumps({"argv": ["/usr/other/python"], "display_name": "x", "language": "x"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    is_wrong(doctor.kernel(), "/usr/other/python")


def test_nbgrader_needs_alembic_on_the_path(tmp_path, monkeypatch):
    program = tmp_path / "alembic"
    program.write_text("#!/bin/sh\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    is_wrong(doctor.marking(), "alembic")
    program.chmod(0o755)
    is_fine(doctor.marking(), str(program))


def test_studying_can_do_without_a_browser(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    if doctor.chromium():
        pytest.skip("this machine has a browser outside the path")
    finding = doctor.browser()
    assert not finding.needed and "install" in finding.mend and "studying needs none" in finding.words


def test_studying_can_do_without_a_sandbox_and_grading_can_not(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    [finding] = doctor.sandbox()
    assert not finding.needed and "bubblewrap is missing" in finding.words and "install bubblewrap" in finding.mend
    assert "`classroom grade` needs it, studying does not" in finding.words


def test_each_protection_is_on_or_off_with_the_reason(monkeypatch):
    off = Protection("limits", False, "no room"), Protection("watched", False, "a container", needed=False)
    monkeypatch.setattr("classroom.grade.sandbox.protections", lambda: [Protection("no network", True), *off])
    on, missing, without = doctor.sandbox()
    is_fine(on, "no network: on")
    assert missing.mend and "limits: off, no room" in missing.words
    is_fine(without, "watched: off, a container")


def test_the_protections_of_this_machine_are_found_out_by_trying(sandboxes):
    findings = list(doctor.sandbox())
    assert len(findings) >= 8
    assert [finding.line for finding in findings if finding.mend] == []


def course_of_one(root: Path) -> Path:
    """The toy chapter's source in `root`, built; the built notebook's path."""
    from classroom.build import student, to_json
    from classroom.source import load

    (root / "solutions").mkdir()
    source = Path(shutil.copy(Path(__file__).parent / "data" / "solutions" / "01_averages.py", root / "solutions"))
    notebook = root / "chapters" / "01_averages" / "01_averages.ipynb"
    notebook.parent.mkdir(parents=True)
    notebook.write_text(to_json(student(load(source))), encoding="utf-8")
    return notebook


def test_chapters_built_stale_missing_and_broken(root):
    notebook = course_of_one(root)
    is_fine(*doctor.built_chapters(root), "up to date")

    notebook.write_text(notebook.read_text(encoding="utf-8").replace("mean", "meen", 1), encoding="utf-8")
    [finding] = doctor.built_chapters(root)
    is_wrong(finding, "not what its source builds")
    assert finding.mend == "classroom build 01_averages"

    notebook.unlink()
    is_wrong(*doctor.built_chapters(root), "not built")

    source = root / "solutions" / "01_averages.py"
    source.write_text(source.read_text().replace("### END SOLUTION", "", 1))
    is_wrong(*doctor.built_chapters(root), "does not build")


def test_a_checkout_without_chapters(root):
    (root / "solutions").mkdir()
    is_wrong(*doctor.built_chapters(root), "no chapter")


def test_a_students_copy_that_is_whole_old_or_damaged(root):
    def write(place: Path, *questions: str) -> None:
        cells = [new_code_cell(metadata={"nbgrader": {"grade_id": question}}) for question in questions]
        place.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(new_notebook(cells=[*cells, new_code_cell()]), place)

    chapter, copy = (root / place / "01_x" / "01_x.ipynb" for place in ("chapters", "work"))
    write(chapter, "first", "second")
    assert list(doctor.own_copies(root)) == []
    write(copy, "first", "second", "my-own")
    is_fine(*doctor.own_copies(root))
    write(copy, "first")
    is_wrong(*doctor.own_copies(root), "older chapter", "second")
    copy.write_text("{")
    is_wrong(*doctor.own_copies(root), "no longer a notebook")


def test_the_report_names_what_is_wrong_and_tells_it_by_its_exit_status(root, capsys, monkeypatch):
    sound, without = doctor.Finding("Python", "3.12"), doctor.Finding("Chromium", "none", "get it", needed=False)
    monkeypatch.setattr(doctor, "examine", lambda _: iter([sound, without]))
    assert doctor.report(root) == 0
    assert "Nothing that the course needs is missing" in capsys.readouterr().out

    broken = doctor.Finding("weights", "gone", "git checkout")
    monkeypatch.setattr(doctor, "examine", lambda _: iter([sound, broken, without]))
    assert doctor.report(root) == 1
    said = capsys.readouterr().out
    assert "ok       Python: 3.12" in said
    assert "WRONG    weights: gone\n         mend it with: git checkout" in said
    assert said.endswith("To be mended: weights.\n")


def test_all_of_it_runs_on_this_checkout():
    subjects = [finding.subject for finding in doctor.examine(ROOT)]
    assert {"Python", "packages", "weights in weights", "weights in digits", "kernel", "marking"} <= set(subjects)
