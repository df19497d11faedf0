"""The folder with the course as the sandbox sees it: without the checks, the solutions, and what the chapter teaches.

The library is copied with the bodies of the taught functions taken out, so that reading, importing or reloading it
gives no answer away. In the place of the checks stand modules that say yes to everything and mean nothing.
"""

import ast
import shutil
from pathlib import Path

NEEDED = ("classroom/calling.py", "classroom/grade/wire.py", "classroom/grade/subjects.py")
NEEDED += ("classroom/grade/confine.py", "classroom/grade/worker.py")
NO_CHECKS = '''"""The grader has the checks. Here, calling one does nothing."""


class Check:
    def __init__(self, name):
        self.__name__ = name

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Check(name)

    def __call__(self, *args, **kwargs):
        return None


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return Check(name)
'''


EMPTY = "is what this chapter teaches: here it is empty"


def build(lib: Path, folder: Path, teaches: list[str]) -> None:
    """Write the course at `lib` into the empty `folder`, without what is in `teaches` (dotted names)."""
    for name in NEEDED:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(lib / name, target)
    checks = folder / "classroom" / "checks"
    checks.mkdir()
    for package in (folder / "classroom", folder / "classroom" / "grade"):
        (package / "__init__.py").write_text("")
    for check in ("__init__", *(path.stem for path in (lib / "classroom" / "checks").glob("[a-z]*.py"))):
        (checks / f"{check}.py").write_text(NO_CHECKS)
    for tool in (lib / "classroom").glob("[a-z]*.py"):  # a chapter may greet its reader with one
        if not (folder / "classroom" / tool.name).exists():
            (folder / "classroom" / tool.name).write_text(NO_CHECKS)
    copy_library(lib / "glassbox", folder / "glassbox", teaches)
    (folder / "smallworld").mkdir()  # mounted there: its weights are large, and nothing in it is an answer
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def copy_library(library: Path, target: Path, teaches: list[str]) -> None:
    """A copy of the package `library` in which what is taught is named but empty."""
    shutil.copytree(library, target, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (name for name in teaches if name.startswith(f"{library.name}.")):
        path, names = _place(target, name)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if not names:
            _empty(tree.body, name)
        else:
            found = [node for node in tree.body if names[0] in _defined(node)]
            if not found:
                raise ValueError(f"{name}, which the chapter says it teaches, is not in {path.name}")
            _empty(found, name)
        path.write_text(ast.unparse(tree), encoding="utf-8")


def _place(library: Path, name: str) -> tuple[Path, list[str]]:
    """The file of a dotted name, and what is left of the name inside of it."""
    parts = name.split(".")[1:]
    for length in range(len(parts), 0, -1):
        file = library.joinpath(*parts[:length]).with_suffix(".py")
        if file.is_file():
            return file, parts[length:]
    raise ValueError(f"{name}, which the chapter says it teaches, is not in the library")


def _defined(node: ast.stmt) -> set[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _empty(nodes: list[ast.stmt], name: str) -> None:
    """Take out the bodies of functions and the values of tables."""
    refusal = ast.parse(f"raise NotImplementedError({f'{name} {EMPTY}.'!r})").body
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node.body = refusal
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("__"):
                    inner.body = refusal
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.Dict):
            node.value = ast.Dict(keys=[], values=[])
