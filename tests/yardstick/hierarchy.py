"""Compare the chase and the passes of the memory hierarchy with compiled code, and passes with likwid-bench.

Both work on the same memory and take turns in random order; the figure is the median over the rounds of C's time over
ours. likwid-bench, where it is installed, has memory of its own: its best of five runs stands beside our best.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from run import timed, timed_workload

from bandmark.backends.select import open_target
from bandmark.backends.team import pinned
from bandmark.device.machine import read_machine
from bandmark.suites.latency import hops
from bandmark.suites.sweep import pass_columns, passes
from bandmark.units import format_bytes, parse_bytes
from bandmark_kernels.memory.passes import PASSES

SOURCE = Path(__file__).with_name("hierarchy.c")
FLAGS = ["-O3", "-march=native", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
LIKWID = {"read": "load", "copy": "copy", "triad": "stream"}
"""likwid-bench's name of each pass: its triad has four arrays, its stream is STREAM's triad."""

HEAD = f"| work | working set | C | bandmark | ratio | target | likwid | best / likwid | target |\n{'|---' * 9}|"


def race(ours: Any, theirs: Callable[[], float], rounds: int) -> tuple[list[float], list[float]]:
    """Run both once a round in random order; return their times in seconds."""
    ours_s, theirs_s = [], []
    for _ in range(rounds):
        for first in random.sample((True, False), 2):
            if first:
                ours_s.append(timed_workload(ours)())
            else:
                with pinned(ours.cpu):
                    theirs_s.append(theirs())
    return ours_s, theirs_s


def likwid_gbs(kernel: str, size: int, cpu: int) -> float | None:
    """Return the best bandwidth of five short runs of likwid-bench, of its widest form that runs here."""
    if shutil.which("likwid-bench") is None:
        return None
    found = []
    for form in ("avx512", "avx512_fma", "avx", "avx_fma"):
        for _ in range(5):
            command = ["likwid-bench", "-t", f"{LIKWID[kernel]}_{form}", "-w", f"N:{size // 1000}kB:1", "-s", "1"]
            taskset = ["taskset", "-c", str(cpu), *command]
            done = subprocess.run(taskset, capture_output=True, text=True, check=False)
            if match := re.search(r"MByte/s:\s+([\d.]+)", done.stdout):
                found.append(float(match[1]) / 1e3)
        if found:
            break
    return max(found, default=None)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=31, help="runs of each contestant (default 31)")
    parser.add_argument("--largest", type=parse_bytes, help="largest working set of the chase (default: 8 x cache)")
    parser.add_argument("--cc", default=os.environ.get("CC", "gcc"), help="C compiler (default gcc)")
    options = parser.parse_args(argv)
    machine = read_machine()
    target = open_target(machine, names=["numba"], address="cpu", threads=1)
    (backend,) = target.backends
    largest = options.largest or 8 * (machine.llc_bytes or 2**25)
    largest = min(largest, backend.budget().default_bytes // 2)
    print(
        f"{machine.cpu_model_name}, one thread, {options.rounds} rounds, load {machine.load_1min}\n\n{HEAD}", flush=True
    )
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "hierarchy.so"
        subprocess.run([options.cc, *FLAGS, str(SOURCE), "-o", str(library)], check=True)
        c = ctypes.CDLL(str(library))
        for size in (2**power for power in range(12, 40, 2) if 2**power <= largest):
            print(chase_line(backend, c, size, options.rounds), flush=True)
        for size in (2**14, 2**19, 2**23):
            for kernel in PASSES:
                print(pass_line(backend, c, kernel, size, options.rounds), flush=True)
    target.close()
    return 0


def chase_line(backend: Any, c: Any, size: int, rounds: int) -> str:
    """Return the line of a chase: ns of both, and the ratio."""
    work = backend.routines["chase"](backend, size=size, pattern="random-4k", hops=hops(size), seed=1)
    c.chase.restype, c.chase.argtypes = ctypes.c_uint64, [ctypes.c_uint64, ctypes.c_int64]
    # Half a lap away: on the same lines the second of a round would find them in a nearer cache.
    places = [work._words.ctypes.data + 64 * int(work._ring[(work._done + len(work._ring) // 2) % len(work._ring)])]

    def follow() -> None:
        places[0] = c.chase(places[0], hops(size))

    ours, theirs = race(work, timed(follow), rounds)
    assert work.verify() == 0
    work.close()
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    figures = [f"{statistics.median(times) / hops(size) * 1e9:.2f} ns" for times in (theirs, ours)]
    return f"| chase | {format_bytes(size)} | {' | '.join(figures)} | {ratio:.3f} | 0.97-1.03 | | | |"


def pass_line(backend: Any, c: Any, kernel: str, size: int, rounds: int) -> str:
    """Return the line of a pass: GB/s of both, the ratio, and likwid's best beside ours."""
    columns = pass_columns(kernel, size)
    moved, count = columns["bytes_read"] + columns["bytes_written"], passes(columns["working_set_bytes"])
    work = backend.routines["passes"](backend, kernel=kernel, n=columns["n"], count=count, seed=1)
    function = getattr(c, f"{kernel}_passes")
    function.restype = ctypes.c_double
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in work._arrays]
    arguments = (*pointers, ctypes.c_ssize_t(columns["n"]), ctypes.c_ssize_t(count))
    ours, theirs = race(work, timed(lambda: function(*arguments)), rounds)
    assert work.verify() <= 1
    work.close()
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    best, likwid = moved / min(ours) / 1e9, likwid_gbs(kernel, size, work.cpu)
    figures = [f"{moved / statistics.median(times) / 1e9:.1f}" for times in (theirs, ours)]
    beside = f"{likwid:.1f} | {best / likwid:.3f} | 0.95" if likwid else " | | "
    return f"| {kernel} | {format_bytes(size)} | {' | '.join(figures)} | {ratio:.3f} | | {beside} |"


if __name__ == "__main__":
    sys.exit(main())
