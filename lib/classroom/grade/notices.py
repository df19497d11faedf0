"""What a person should look at in a student's code: that it reaches for the system or for the grader, and where.

This is no verdict and changes no mark: the sandbox is what protects, and honest students open files, too.
"""

import ast

UNUSUAL = {
    "atexit", "builtins", "classroom", "code", "ctypes", "faulthandler", "gc", "importlib", "inspect", "IPython",
    "mmap", "multiprocessing", "os", "pathlib", "pickle", "pty", "resource", "shutil", "signal", "socket", "sqlite3",
    "subprocess", "sys", "tempfile", "threading", "unittest", "urllib", "requests",
}  # fmt: skip
NAMES = {"get_ipython", "eval", "exec", "compile", "open", "globals", "__import__", "quit", "exit", "input"}
ATTRIBUTES = {
    "__subclasses__", "__globals__", "__code__", "__builtins__", "_getframe", "f_back", "f_locals", "settrace",
    "setrecursionlimit", "ast_transformers", "__eq__", "__torch_function__", "__array__", "testing",
}  # fmt: skip
OF_A_METHOD = {"__eq__", "__torch_function__", "__array__", "__class__", "__del__", "__getattr__"}


def unusual(source: str) -> list[str]:
    """What a cell uses that no exercise needs, sorted. A cell that is no Python is looked at for words."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return sorted({"no plain Python"} | {name for name in UNUSUAL if f"import {name}" in source})
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names} & UNUSUAL
            found |= {alias.name for alias in node.names if "testing" in alias.name}
        elif isinstance(node, ast.ImportFrom):
            found |= {(node.module or "").split(".")[0]} & UNUSUAL
        elif isinstance(node, ast.Name):
            found |= {node.id} & NAMES
        elif isinstance(node, ast.Attribute):
            found |= {node.attr} & ATTRIBUTES
        elif isinstance(node, ast.FunctionDef):
            found |= {node.name} & OF_A_METHOD
    return sorted(found)


def notices(sources: dict[str, str]) -> list[str]:
    """One line for each cell that has something unusual in it."""
    found = {name: unusual(source) for name, source in sources.items()}
    return [f"{name} uses {', '.join(what)}: have a look." for name, what in found.items() if what]
