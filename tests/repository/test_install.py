"""`make install`, on machines that lack something, with everything that would be downloaded replaced by a note."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What stands for a Python: it answers the installer's questions as the variables below say, and makes an
# environment whose pip writes down what it was asked. So nothing is downloaded, and every branch can be seen.
STAND_IN = """#!/bin/sh
case "$*" in
    "-c ") exit 0 ;;
    *version_info\\ \\<*) exit {too_old} ;;
    *ensurepip*) exit {no_venv} ;;
    *version_info*) echo {version} ;;
    --version) echo "Python {version}.0" ;;
    "-m venv .venv") mkdir -p .venv/bin && echo "command = $0 -m venv $(pwd -P)/.venv" >.venv/pyvenv.cfg
        program=.venv/bin/python
        printf '#!/bin/sh\\nif [ "$1" = - ]; then exec "{python}" -; fi\\necho "$@" >>asked\\n{fail}\\n' >$program
        chmod +x $program ;;
    *) echo "unexpected: $*" >&2; exit 9 ;;
esac
"""


@pytest.fixture
def machine(tmp_path):
    """A checkout in a folder with a space in its name, and an empty folder of programs to put Pythons in."""
    checkout, programs = tmp_path / "my course", tmp_path / "bin"
    (checkout / "lib" / "classroom").mkdir(parents=True)
    for name in ("requirements.lock", "pyproject.toml", "Makefile", "lib/classroom/install.sh"):
        (checkout / name).write_bytes((ROOT / name).read_bytes())
    programs.mkdir()
    for name in ("sh", "make", "dirname", "mkdir", "chmod", "cat", "grep", "rm"):
        (programs / name).symlink_to(shutil.which(name))
    return checkout, programs


def add_python(programs: Path, name: str, version: str = "3.12", **answers: object) -> None:
    answers = {"too_old": 0, "no_venv": 0, "fail": ":", **answers}
    program = programs / name
    program.write_text(STAND_IN.format(version=version, python=sys.executable, **answers))
    program.chmod(0o755)


def install(machine) -> subprocess.CompletedProcess:
    checkout, programs = machine
    return subprocess.run(
        ["make", "install"],
        cwd=checkout,
        env={"PATH": str(programs), "HOME": str(checkout / "no such home")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def asked_of_pip(machine) -> list[str]:
    asked = machine[0] / "asked"
    return asked.read_text().splitlines() if asked.exists() else []


def test_a_first_run_installs_the_lock_and_says_what_it_does(machine):
    add_python(machine[1], "python3")
    done = install(machine)
    assert done.returncode == 0, done.stderr
    assert asked_of_pip(machine) == [
        "-m pip install -r requirements.lock",
        "-m pip install --quiet --no-deps --no-build-isolation -e .",
    ]
    assert "Making a virtual environment" in done.stdout and "to download" in done.stdout


def test_a_second_run_does_nothing_and_a_new_lock_installs_again(machine):
    add_python(machine[1], "python3")
    install(machine)
    (machine[0] / "asked").unlink()
    second = install(machine)
    assert (second.returncode, second.stdout, asked_of_pip(machine)) == (0, "", [])

    with (machine[0] / "requirements.lock").open("a") as lock:
        lock.write("one-more==1.0\n")
    third = install(machine)
    assert "Making a virtual environment" not in third.stdout
    assert asked_of_pip(machine)[0] == "-m pip install -r requirements.lock"


def test_a_run_that_broke_off_goes_on_the_next_time(machine):
    add_python(machine[1], "python3", fail='case "$*" in *requirements.lock) exit 1 ;; esac')
    assert install(machine).returncode != 0
    assert not (machine[0] / ".venv" / "installed").exists()
    assert install(machine).returncode != 0, "a failed installation must not pass for a finished one"


def test_an_environment_that_was_moved_is_made_anew(machine):
    checkout, programs = machine
    add_python(programs, "python3")
    install(machine)
    moved = checkout.rename(checkout.with_name("my"))
    done = install((moved, programs))
    assert done.returncode == 0 and "Making a virtual environment" in done.stdout


def test_a_placeholder_and_an_old_python_are_passed_over(machine):
    checkout, programs = machine
    (programs / "python3.13").write_text("#!/bin/sh\nexit 127\n")
    (programs / "python3.13").chmod(0o755)
    add_python(programs, "python3.12", too_old=1, version="3.9")
    add_python(programs, "python3.11", version="3.11")
    done = install(machine)
    assert done.returncode == 0 and "Python 3.11.0" in done.stdout
    assert "python3.11" in (checkout / ".venv" / "pyvenv.cfg").read_text()


def test_without_a_python_that_will_do_it_says_what_is_missing(machine):
    none = install(machine)
    assert none.returncode != 0 and "There is no Python here. The course needs Python 3.11 or newer." in none.stderr

    add_python(machine[1], "python3", too_old=1, version="3.9")
    old = install(machine)
    assert old.returncode != 0 and "Python 3.9 is too old. The course needs Python 3.11 or newer." in old.stderr

    add_python(machine[1], "python3.12", no_venv=1)
    bare = install(machine)
    assert bare.returncode != 0 and "sudo apt install python3.12-venv" in bare.stderr
    assert not (machine[0] / ".venv").exists()
