"""How fast is each method beside its peers, and how much memory does it take?

    python -m tests.benchmarks

One process, and the same model, text and threads for all; ratios of times, never times, and nothing is asserted. Writes
book/benchmarks.md and the table in README.md. It takes some ten minutes, and wants the machine for itself.
"""

import sys
from pathlib import Path

from tests.benchmarks import memory, report
from tests.benchmarks.cases import cases
from tests.benchmarks.comparisons import ratios
from tests.benchmarks.measuring import medians

measured = {}
for case in cases():
    print(f"{case.name}, {case.tokens} tokens", file=sys.stderr, flush=True)
    for comparison, ratio in ratios(case, medians):
        measured[case.name, comparison, case.tokens] = ratio
print("memory", file=sys.stderr, flush=True)
page = report.page(measured, memory.leave_one_out(), memory.rollout())
print(page)
root = Path(__file__).resolve().parents[2]
(root / "book" / "benchmarks.md").write_text(page, encoding="utf-8")
report.into_readme(root / "README.md", measured)
