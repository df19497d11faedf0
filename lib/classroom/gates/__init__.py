"""The gates a chapter passes before anything of it is written: each a function that returns the problems it finds.

`SOURCE` looks at the source, `STUDENT` at the student's notebook made from it, `OUTPUTS` at the source after it ran.
"""

from classroom.gates import code, leaks, marks, outputs, text

SOURCE = (
    marks.kernel,
    marks.markers,
    marks.identifiers,
    marks.points,
    marks.tasks,
    marks.checks,
    marks.objectives,
    code.plain_python,
    code.imports,
    code.graded_cells_end_in_a_call,
    text.headings,
    text.alternative_text,
    text.common_markdown,
    text.folded_blocks,
)
STUDENT = (leaks.nothing_left_behind, leaks.no_line_elsewhere)
OUTPUTS = (
    outputs.figures_have_alternative_text,
    outputs.views_hold_tables_and_are_small,
    outputs.quoted_cells_print_text,
    outputs.quoted_numbers_repeat,
    outputs.quotes_are_printed,
    outputs.graded_cells_give_no_value,
    outputs.no_solution_is_printed,
)
