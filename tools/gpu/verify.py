"""Verify kernels at awkward sizes, for compute-sanitizer: arrays end where they end, since no pool rounds them up.

usage: compute-sanitizer --tool memcheck python verify.py KERNEL,... DTYPE,...
"""

from __future__ import annotations

import sys
from typing import Any

import cupy

from bandmark.backends.select import open_target
from bandmark.device.machine import read_machine
from bandmark.selftest.checks import check_results
from bandmark.suites.selection import pick_kernels
from bandmark_kernels import DTYPES


def main(kernels: str, dtypes: str) -> None:
    """Print each check with its details."""
    cupy.cuda.set_allocator(None)
    backend: Any = open_target(read_machine(), names=["cupy"]).backends[0]
    for check in check_results(backend, pick_kernels(kernels.split(",")), [DTYPES[name] for name in dtypes.split(",")]):
        print(check.passed, check.name, check.result, *check.details, sep="\n  ", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
