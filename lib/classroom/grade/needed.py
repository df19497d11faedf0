"""Which of a chapter's own cells have to run for the marks: those that make what an answer or a test may use.

A chapter's experiments take most of its time and decide about no mark, so a class is graded in minutes without them.
What a cell uses and makes is read off its source, on the safe side for whatever a student wrote. Of the course's own
cells it is taken for granted that a function which they call changes none of its arguments; a method may change what
it belongs to.
"""

import ast
import re
import symtable
from collections.abc import Iterator

WORD = re.compile(r"[^\W\d]\w*")
BY_STRING = {"eval", "exec", "compile", "globals", "locals", "vars", "dir", "getattr", "get_ipython", "inspect", "sys"}


def left_out(cells: list[tuple[str, str, bool]]) -> set[str]:
    """The keys of the course's cells that need not run, of (key, source, whether it is the course's) in their order."""
    imported = {name for _, source, ours in cells if ours for name in _imports(source)}
    wanted: set[str] = set()
    out = set()
    for key, source, ours in reversed(cells):
        made = makes(source, imported) if ours else None
        if made is None or made & wanted:
            wanted |= uses(source)
        else:
            out.add(key)
    return out


def uses(source: str) -> set[str]:
    """The names from outside of it that a cell may use; every word where they can't be told."""
    names = set(WORD.findall(source))
    try:
        tables = list(_tables(symtable.symtable(source, "cell", "exec")))
    except (SyntaxError, ValueError):
        return names
    if names & BY_STRING or "__" in source:
        return names
    return {symbol.get_name() for table in tables for symbol in table.get_symbols() if _is_global(symbol, table)}


def makes(source: str, imported: set[str] = frozenset()) -> set[str] | None:
    """The names that a cell of the course's binds or changes, None where they can't be told."""
    try:
        tree, tables = ast.parse(source), list(_tables(symtable.symtable(source, "cell", "exec")))
    except SyntaxError:
        return None
    if any(alias.name == "*" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names):
        return None
    found = {
        symbol.get_name()
        for table in tables
        for symbol in table.get_symbols()
        if _is_global(symbol, table) and (symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace())
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            found.add(_root(node))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            called = node.value.func
            found |= {_root(called)} - imported if isinstance(called, ast.Attribute) else set()
    return found


def _is_global(symbol: symtable.Symbol, table: symtable.SymbolTable) -> bool:
    return table.get_type() == "module" or symbol.is_global()


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)


def _imports(source: str) -> set[str]:
    try:
        table = symtable.symtable(source, "cell", "exec")
    except SyntaxError:
        return set()
    return {symbol.get_name() for symbol in table.get_symbols() if symbol.is_imported()}


def _root(node: ast.AST) -> str:
    """The name at the start of `a.b[c].d`."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""
