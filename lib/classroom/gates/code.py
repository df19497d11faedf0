"""Gates on the code cells: plain Python, and nothing that would do the student's exercise for them."""

import ast
from collections.abc import Iterator

from nbformat import NotebookNode

from classroom.source import Chapter, Problem, is_graded, is_solution


def plain_python(chapter: Chapter) -> list[Problem]:
    """No magics and no shell lines: they differ between machines, and the checks outside JupyterLab can't read them."""
    found = []
    for cell in _code(chapter):
        magics = [line for line in cell.source.split("\n") if line.lstrip().startswith(("%", "!"))]
        try:
            ast.parse(cell.source)
        except SyntaxError as error:
            what = f"`{magics[0].strip()}` is no Python" if magics else f"{error.msg}, line {error.lineno} of the cell"
            found.append(chapter.problem(cell, f"{what}: code cells are plain Python, without magics"))
    return found


def imports(chapter: Chapter) -> list[Problem]:
    """Nothing that this chapter teaches, or that a later one will, is taken from a library."""
    found, known = [], {}
    for cell in _code(chapter):
        for node in ast.walk(_tree(cell)):
            for name in _names(node, known):
                if name.startswith("glassbox.views."):
                    continue  # a view shows what there is; it may be named after the method whose numbers it shows
                taught = _taught(name, chapter.forbidden)
                if taught:
                    when = "this chapter teaches" if taught in chapter.meta["teaches"] else "a later chapter teaches"
                    found.append(chapter.problem(cell, f"`{name}` is what {when}: do without it"))
    return list(dict.fromkeys(found))


def graded_cells_end_in_a_call(chapter: Chapter) -> list[Problem]:
    """nbgrader takes the number at the end of a graded cell for the marks."""
    found = []
    for cell in _code(chapter):
        body = _tree(cell).body
        values = [node for node in body if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Call)]
        if is_graded(cell) and not is_solution(cell):
            if not body:
                found.append(chapter.problem(cell, "a graded cell that is empty gives its points to everybody"))
            for node in values:
                message = (
                    f"`{ast.unparse(node)}`: nbgrader may take a value for the marks; call a check, which returns None"
                )
                found.append(chapter.problem(cell, message))
    return found


def _code(chapter: Chapter) -> Iterator[NotebookNode]:
    return (cell for cell in chapter.notebook.cells if cell.cell_type == "code")


def _tree(cell: NotebookNode) -> ast.Module:
    try:
        return ast.parse(cell.source)
    except SyntaxError:  # `plain_python` speaks about it
        return ast.Module(body=[], type_ignores=[])


def _names(node: ast.AST, known: dict[str, str]) -> list[str]:
    """The dotted names, in full, that a node imports or uses. `known` remembers what short names stand for."""
    if isinstance(node, ast.Import):
        known.update({alias.asname: alias.name for alias in node.names if alias.asname})
        known.update({(top := alias.name.split(".")[0]): top for alias in node.names if not alias.asname})
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        known.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
        return [f"{node.module}.{alias.name}" for alias in node.names]
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if parts and isinstance(node, ast.Name) and node.id in known:
        return [".".join([known[node.id], *reversed(parts)])]
    return []


def _taught(name: str, forbidden: tuple[str, ...]) -> str | None:
    """Which forbidden name `name` reaches: by its own path, by a shorter one that exports it too, or by a star."""
    for taught in forbidden:
        same_package = name.split(".")[0] == taught.split(".")[0]
        function = taught.rpartition(".")[2]
        if same_package and (function in name.split(".")[1:] or name.endswith(".*")):
            return taught
    return None
