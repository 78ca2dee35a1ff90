"""Compare the implementations for CPUs with compiled code: their speed over that of a C + OpenMP program.

All of them work on the same arrays, of at least four times the last-level cache, and take turns run by run in random
order. The figure is the median over the rounds of the yardstick's time divided by theirs: 1 is equally fast. Numba's
products are compared with NumPy's BLAS, too, and its stores past the cache with those through it.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bandmark.backends.host import HostMemory
from bandmark.backends.select import Target, open_target
from bandmark.device.cpu import cpu_count, others_share, read_cpu_use
from bandmark.device.machine import read_machine
from bandmark.errors import BandmarkError
from bandmark.suites.sizing import shape_for
from bandmark.units import format_bytes, parse_bytes
from bandmark_kernels import DEFAULT_KERNELS, DTYPES, KERNELS, DType, Kernel
from bandmark_kernels.core.checks import make_inputs, max_error
from bandmark_kernels.core.kernel import Inputs

SOURCE = Path(__file__).with_name("stream.c")
FLAGS = ["-O3", "-march=native", "-fopenmp", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]

_LOOPS = ("copy_loop", "scale", "add", "triad", "write", "dot", "read")
_STREAMED = ("copy", "scale", "add", "triad", "write")

TARGETS: dict[str, dict[str, float]] = {
    "numpy": {"copy": 0.95, "scale": 0.95, "add": 0.95, "triad": 0.88},
    "numba": dict.fromkeys((*_LOOPS, "nstream", "gemv", "gemv_t"), 0.97),
    "numba nt": dict.fromkeys((f"{name}_nt" for name in _STREAMED), 0.97),
    "torch": dict.fromkeys(_LOOPS, 0.95),
}
"""The median ratio to a form of the C program that an implementation should reach: its copy is a memcpy, its copy_loop
is none, and its nt forms have stores past the cache."""

BESIDE = {("numba", "numpy"): {"gemv": 1.0, "gemv_t": 1.0}, ("numba nt", "numba"): {"triad": 1.3}}
"""The ratio that one implementation should reach to another, by kernel."""

HEAD = """| kernel | dtype | body | beside | its GB/s | body GB/s | ratio | target |
|---|---|---|---|--:|--:|--:|--:|"""

QUIET_SHARE = 0.05
"""A round is repeated if other programs took more than this share of the processors meanwhile."""

PAUSE_S = 0.005
"""Pause before each run, for the threads of the last one to go to sleep."""

Run = Callable[[], float]
"""Runs a kernel once and returns how long that took in seconds."""


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    kernel: str
    dtype: str
    body: str
    beside: str
    its_gbs: float
    gbs: float
    ratio: float
    target: float | None

    @property
    def is_below(self) -> bool:
        """Whether the ratio misses its target, as printed with three digits."""
        return self.target is not None and round(self.ratio, 3) < self.target


class Yardstick:
    """The C program: its threads are pinned to the CPUs of the team's, in the same order."""

    def __init__(self, compiler: str, folder: Path, cpus: Sequence[int]) -> None:
        library = folder / "stream.so"
        subprocess.run([compiler, *FLAGS, str(SOURCE), "-o", str(library)], check=True)
        self._library = ctypes.CDLL(str(library))
        # A thread of its own keeps OpenMP's pinning away from the main thread, and from the threads that torch starts.
        self._thread = ThreadPoolExecutor(1)
        started = self._thread.submit(self._library.pin, len(cpus), (ctypes.c_int * len(cpus))(*cpus)).result()
        assert started == len(cpus), f"OpenMP started {started} threads instead of {len(cpus)}"

    def has(self, form: str) -> bool:
        """Return whether there is a C function for a form of a kernel."""
        return hasattr(self._library, f"{form}_float64")

    def bind(self, form: str, inputs: Inputs, arrays: dict[str, Any], scalars: dict[str, float]) -> Callable[[], Any]:
        """Return a call that runs a C kernel on the arrays and returns what it returns."""
        kernel, shape = inputs.kernel, inputs.shape
        number = {"float64": ctypes.c_double, "float32": ctypes.c_float}[inputs.dtype.name]
        function = getattr(self._library, f"{form}_{inputs.dtype.name}")
        function.restype = number if kernel.is_reduction else None
        sizes = [shape.count("m"), shape.n] if kernel.is_matrix else [shape.n]
        pointers = [arrays[o.name].ctypes.data for o in kernel.operands if o.role != "result"]
        arguments = [
            *map(ctypes.c_size_t, sizes),
            *map(ctypes.c_void_p, pointers),
            *(number(s) for s in scalars.values()),
        ]
        return lambda: self._thread.submit(function, *arguments).result()

    def verify(self, form: str, inputs: Inputs, memory: HostMemory) -> float:
        """Run a C kernel once into a poisoned output and return its largest error in units of the tolerance."""
        output, arrays = inputs.kernel.output, memory.sets(inputs)[0]
        memory.reset(output)
        scalars = dict(inputs.kernel.check_scalars)
        number = self.bind(form, inputs, arrays, scalars)()
        out = np.array([number], inputs.dtype.storage) if inputs.kernel.is_reduction else arrays[output.name]
        error = max_error(inputs, lambda name, start, stop: out[start:stop])
        memory.reset(output)
        return error


def timed(call: Callable[[], Any]) -> Run:
    """Return the call under a stopwatch."""

    def run() -> float:
        begin = time.perf_counter()
        call()
        return time.perf_counter() - begin

    return run


def timed_workload(workload: Any) -> Run:
    """Return one launch of a backend under the backend's own watch."""

    def run() -> float:
        workload.start(1)
        workload.launch()
        return float(workload.stop().seconds)

    return run


def race(runs: dict[str, Run], rounds: int, cpus: int) -> tuple[dict[str, list[float]], int]:
    """Run everything once per round in random order; return the times, and how many rounds were disturbed.

    Rounds that other programs disturbed are repeated as long as fewer than two thirds of all were.
    """
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    disturbed = 0
    done = 0
    while done < rounds:
        before = read_cpu_use(time.perf_counter())
        seconds = {}
        for name in random.sample(list(runs), len(runs)):
            time.sleep(PAUSE_S)
            seconds[name] = runs[name]()
        share = others_share(before, read_cpu_use(time.perf_counter()), cpus)
        if share is not None and share > QUIET_SHARE and disturbed < 2 * rounds:
            disturbed += 1
            time.sleep(1)
            continue
        done += 1
        for name, value in seconds.items():
            times[name].append(value)
    return times, disturbed


def measure(
    kernel: Kernel, dtype: DType, size: int, rounds: int, yardstick: Yardstick, target: Target
) -> tuple[list[Line], int]:
    """Measure one kernel and dtype: a line per implementation and form of the C program, and those of BESIDE."""
    inputs = make_inputs(kernel, dtype, shape_for(kernel, dtype, size), seed=1)
    backends = [b for b in target.backends if b.unsupported_reason(kernel, dtype) is None]
    memory = target.memory
    assert memory is not None
    arrays = memory.sets(inputs)[0]
    workloads = {
        f"{b.name} {variant or ''}".removesuffix("normal").strip(): b.prepare(inputs, variant)
        for b in backends
        for variant in b.default_variants(kernel)
    }
    forms = [form for form in (kernel.name, f"{kernel.name}_loop", f"{kernel.name}_nt") if yardstick.has(form)]
    runs = {f"C {form}": timed(yardstick.bind(form, inputs, arrays, dict(kernel.scalars))) for form in forms}
    runs |= {name: timed_workload(w) for name, w in workloads.items()}
    times, disturbed = race(runs, rounds, cpu_count())
    moved = kernel.bytes_read(inputs.shape, dtype) + kernel.bytes_written(inputs.shape, dtype)
    pairs = [(name, f"C {form}", TARGETS[name].get(form)) for form in forms for name in workloads]
    pairs += [(*pair, targets[kernel.name]) for pair, targets in BESIDE.items() if kernel.name in targets]
    rows = []
    for name, beside, wanted in pairs:
        if name in times and beside in times and (wanted is not None or not beside.endswith("_nt")):
            ratio = statistics.median(base / t for base, t in zip(times[beside], times[name], strict=True))
            its_gbs, gbs = (moved / statistics.median(times[which]) / 1e9 for which in (beside, name))
            rows.append(Line(kernel.name, dtype.name, name, beside, its_gbs, gbs, ratio, wanted))
    errors = {name: w.verify() for name, w in workloads.items()}
    errors |= {f"C {form}": yardstick.verify(form, inputs, memory) for form in forms}
    for workload in workloads.values():
        workload.close()
    wrong = {name: error for name, error in errors.items() if not error <= 1}
    if wrong:
        raise RuntimeError(f"{kernel.name} {dtype.name} is wrong: errors in units of the tolerance are {wrong}")
    return rows, disturbed


def line(row: Line) -> str:
    """Return a row of the markdown table."""
    target = "" if row.target is None else f"{row.target:.2f}" + (" (below)" if row.is_below else "")
    figures = f"{row.its_gbs:.1f}", f"{row.gbs:.1f}", f"{row.ratio:.3f}"
    cells = [row.kernel, row.dtype, row.body, row.beside, *figures, target]
    return f"| {' | '.join(cells)} |"


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=parse_bytes, help="bytes per array, such as 1GiB (default: 4 x cache)")
    parser.add_argument("--rounds", type=int, default=15, help="runs of each contestant (default 15)")
    parser.add_argument("--threads", type=int, help="threads of all contestants (default: one per core)")
    parser.add_argument("--kernel", nargs="+", choices=DEFAULT_KERNELS, default=DEFAULT_KERNELS)
    parser.add_argument("--dtype", nargs="+", choices=["float64", "float32"], default=["float64", "float32"])
    parser.add_argument("--strict", action="store_true", help="fail if a ratio is below its target")
    parser.add_argument("--cc", default=os.environ.get("CC", "gcc"), help="C compiler with OpenMP (default gcc)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; return 1 under --strict if a ratio is below its target."""
    options = parse(argv)
    machine = read_machine()
    size = options.size or 4 * (machine.as_device().llc_bytes or 64 << 20)
    target = open_target(machine, address="cpu", threads=options.threads)
    assert target.team is not None
    cpus = target.team.cpus
    print(f"{machine.cpu_model_name}, {len(cpus)} threads, {format_bytes(size)} per array, {options.rounds} rounds,")
    print(f"{options.cc} {' '.join(FLAGS[:3])}; " + ", ".join(f"{b.name} {b.version}" for b in target.backends))
    print("\n" + HEAD, flush=True)
    below = disturbed = 0
    with tempfile.TemporaryDirectory() as folder:
        yardstick = Yardstick(options.cc, Path(folder), cpus)
        for dtype in options.dtype:
            for name in options.kernel:
                rows, repeated = measure(KERNELS[name], DTYPES[dtype], size, options.rounds, yardstick, target)
                disturbed += repeated
                below += sum(row.is_below for row in rows)
                print("\n".join(map(line, rows)), flush=True)
    target.close()
    print(f"\n{below} below target; {disturbed} rounds repeated because other programs were running")
    return 1 if below and options.strict else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BandmarkError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"yardstick: {error}")
