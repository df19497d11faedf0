"""Time and memory of one call beside another's: interleaved, since a machine's speed changes while one measures."""

from __future__ import annotations

import ctypes
import gc
import platform
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

SECONDS = 20  # for all rounds of a case, once each call has run
ROUNDS = range(3, 16)


def medians(calls: dict[str, Callable[[], object]], scale: dict[str, float]) -> Callable[[str, str], float]:
    """The ratio of two calls' times: of each round its own, and of these the median."""
    rounds: list[dict[str, float]] = []
    for call in calls.values():
        call()
    start = time.perf_counter()
    while len(rounds) < ROUNDS.start or (time.perf_counter() - start < SECONDS and len(rounds) < ROUNDS.stop):
        rounds.append({name: scale[name] * _seconds(call) for name, call in calls.items()})
    return lambda ours, theirs: statistics.median(each[ours] / each[theirs] for each in rounds)


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def peak(call: Callable[[], object]) -> float:
    """How many bytes the process grew by, at most, while the call ran. Linux alone tells."""
    call()  # what a first call loads stays
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the largest size so far is forgotten
    before = _resident("VmRSS")
    call()
    return _resident("VmHWM") - before


def _resident(what: str) -> int:
    [kilobytes] = re.findall(rf"^{what}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.M)
    return 1024 * int(kilobytes)


def machine() -> str:
    """The processor's kind, its cores and the memory, in words."""
    kind, memory = platform.processor() or platform.machine(), ""
    if Path("/proc/cpuinfo").exists():
        kind = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)[0]
        [kilobytes] = re.findall(r"^MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
        memory = f", {round(int(kilobytes) / 2**20)} GB of memory"
    return kind + memory
