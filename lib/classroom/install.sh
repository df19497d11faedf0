#!/bin/sh
# Make .venv and install the course in it, from the repository's root. A second run ends at once: .venv/installed
# holds what the first run installed from, and where, since a virtual environment does not survive being moved.
set -eu
cd "$(dirname "$0")/../.."

# The name of a Python that is new enough; being on the path is not enough, because pyenv's and the stores'
# placeholders are there too and only say that they are no Python.
find_python() {
    without_venv='' too_old=''
    for name in python3.13 python3.12 python3.11 python3.14 python3 python; do
        "$name" -c '' >/dev/null 2>&1 || continue
        version=$("$name" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        if ! "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            too_old="Python $version is too old."
        elif ! "$name" -c 'import venv, ensurepip' 2>/dev/null; then
            without_venv="Python $version lacks its venv module; on Debian: sudo apt install python$version-venv"
        else
            command -v "$name"
            return
        fi
    done
    echo "${without_venv:-${too_old:-There is no Python here.} The course needs Python 3.11 or newer.}" >&2
    exit 1
}

fingerprint() {
    .venv/bin/python - <<'END' 2>/dev/null
import hashlib, os, sys
content = b"".join(open(name, "rb").read() for name in ("requirements.lock", "pyproject.toml"))
print(hashlib.sha256(content).hexdigest(), sys.version.split()[0], os.getcwd())
END
}

current=$(fingerprint) || current=
[ -n "$current" ] && [ -f .venv/installed ] && [ "$(cat .venv/installed)" = "$current" ] && exit

# An environment that was moved here, or whose Python has gone, cannot be mended.
if [ -z "$current" ] || ! grep -qF " $(pwd -P)/.venv" .venv/pyvenv.cfg; then
    python=$(find_python)
    echo "Making a virtual environment in .venv with $("$python" --version)."
    rm -rf .venv
    "$python" -m venv .venv
fi
rm -f .venv/installed

echo "Installing the packages in requirements.lock: some 600 MB to download, and on Linux about 3 GB, unless pip finds"
echo "a torch without the libraries for graphics cards. Three to ten minutes, once; if it stops, run the same again."
export PIP_DISABLE_PIP_VERSION_CHECK=1
.venv/bin/python -m pip install -r requirements.lock
.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
fingerprint >.venv/installed
echo "Installed. From now on this step takes no time."
