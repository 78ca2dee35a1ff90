"""Launch every variant of every kernel once, for Nsight Compute, and write the bytes that the kernel table claims.

usage: ncu ... python ncu_bytes.py CLAIMS.csv SIZE [KERNEL,...]
"""

from __future__ import annotations

import csv
import sys
from typing import Any

import cupy

from bandmark.backends.select import open_target
from bandmark.device.machine import read_machine
from bandmark.suites.selection import pick_kernels
from bandmark.suites.sizing import shape_for
from bandmark.units import parse_bytes
from bandmark_kernels import DTYPES, QUANTIZED
from bandmark_kernels.core.checks import make_inputs
from bandmark_kernels.core.cuda import launches, program


def main(path: str, size: str, names: str = "all") -> None:
    """Launch, and write a line for each launch, in order."""
    target = open_target(read_machine(), names=["cupy"])
    backend: Any = target.backends[0]
    device: Any = target.device
    kernels = [*pick_kernels(names.split(",")), *(QUANTIZED.values() if names == "all" else [])]
    with open(path, "w", encoding="utf-8", newline="") as out:
        claims = csv.writer(out)
        claims.writerow(("label", "dtype", "variant", "launches", "read", "written"))
        for kernel in kernels:
            dtype = kernel.dtypes_among([DTYPES["float32"]])[0]
            shape = shape_for(kernel, dtype, parse_bytes(size))
            inputs = make_inputs(kernel, dtype, shape, seed=1)
            for variant in backend.variants(kernel):
                code = program(kernel, dtype, variant, capability=device.compute_capability)
                steps = launches(code, shape, sm_count=device.sm_count).steps
                workload = backend.prepare(inputs, variant)
                workload.launch()
                cupy.cuda.runtime.deviceSynchronize()
                moved = kernel.bytes_read(shape, dtype), kernel.bytes_written(shape, dtype)
                claims.writerow((kernel.label, dtype.name, variant, len(steps), *moved))
                out.flush()
                workload.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
