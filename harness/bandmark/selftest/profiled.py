"""What a profiler and a sanitizer run: `python -m bandmark.selftest.profiled DEVICE claims FILE SIZE`, or `results`.

claims launches every variant of every kernel once and writes the bytes that the kernel table claims, a line for each.
results verifies kernels at awkward sizes in arrays that no pool rounds up, so that a sanitizer sees every byte beyond
the end of one.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NCU = {"read": "dram__bytes_read.sum", "written": "dram__bytes_write.sum"}
_SANITIZED = ("copy", "nstream", "dot", "gemv", "gemv_t", "adamw", "adamw_master", "kv")
"""A kernel of each kind: element by element, reductions, both orders of a matrix, updates in place, tensor cores."""


@dataclass(frozen=True, slots=True)
class Moved:
    """DRAM bytes of a kernel's launch over those claimed, 0 where nothing is claimed."""

    label: str
    read: float
    written: float


def write_claims(address: str, file: Path, size: int) -> None:
    """Launch every variant of every kernel once, and write its claims; arrays have so many bytes."""
    import cupy

    from bandmark.suites.selection import pick_kernels
    from bandmark.suites.sizing import shape_for
    from bandmark_kernels import DTYPES, QUANTIZED
    from bandmark_kernels.core.checks import make_inputs
    from bandmark_kernels.core.cuda import launches, program

    backend, device = _open(address)
    with file.open("w", encoding="utf-8", newline="") as out:
        claims = csv.writer(out)
        claims.writerow(("label", "launches", "read", "written"))
        for kernel in (*pick_kernels(["all"]), *QUANTIZED.values()):
            dtype = kernel.dtypes_among([DTYPES["float32"]])[0]
            shape = shape_for(kernel, dtype, size)
            inputs = make_inputs(kernel, dtype, shape, seed=1)
            for variant in backend.variants(kernel):
                code = program(kernel, dtype, variant, capability=device.compute_capability)
                steps = launches(code, shape, sm_count=device.sm_count).steps
                workload = backend.prepare(inputs, variant)
                workload.launch()
                cupy.cuda.runtime.deviceSynchronize()
                moved = kernel.bytes_read(shape, dtype), kernel.bytes_written(shape, dtype)
                claims.writerow((f"{kernel.label} {variant}", len(steps), *moved))
                out.flush()
                workload.close()


def compare(claims: Path, profile: Path) -> Iterator[Moved]:
    """Yield the profiled bytes of each claim over those claimed (ncu --csv --page raw --print-units base)."""
    text = [line for line in profile.read_text("utf-8").splitlines() if line.startswith('"')]
    rows = (row for row in csv.DictReader(text) if row["ID"].strip().isdigit())
    with claims.open(encoding="utf-8", newline="") as file:
        for claim in csv.DictReader(file):
            own = [row for _, row in zip(range(int(claim["launches"])), rows, strict=False)]
            read, written = (_share(own, claim, what) for what in _NCU)
            yield Moved(claim["label"], read, written)


def _share(rows: Iterable[dict[str, str]], claim: dict[str, str], what: str) -> float:
    claimed, measured = int(claim[what]), sum(float(row[_NCU[what]].replace(",", "")) for row in rows)
    return measured / claimed if claimed else 0.0


def verify_results(address: str) -> int:
    """Print each check of results, and return 1 if one fails."""
    import cupy

    from bandmark.selftest.checks import check_results, line
    from bandmark.suites.selection import pick_kernels
    from bandmark_kernels import DTYPES

    cupy.cuda.set_allocator(None)
    backend, _ = _open(address)
    failed = False
    for check in check_results(backend, pick_kernels(_SANITIZED), [DTYPES["float32"], DTYPES["float16"]]):
        failed = failed or check.passed is False
        print(line(check), *check.details, sep="\n  ", flush=True)
    return int(failed)


def _open(address: str) -> tuple[Any, Any]:
    """Return CuPy's backend and its device."""
    from bandmark.backends.select import open_target
    from bandmark.device.machine import read_machine

    target = open_target(read_machine(), names=["cupy"], address=address)
    return target.backends[0], target.device


if __name__ == "__main__":
    if sys.argv[2] == "claims":
        write_claims(sys.argv[1], Path(sys.argv[3]), int(sys.argv[4]))
    else:
        sys.exit(verify_results(sys.argv[1]))
