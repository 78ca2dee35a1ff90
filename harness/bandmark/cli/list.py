"""bandmark list: print the kernel table and the backends."""

from __future__ import annotations

import argparse
import json
from typing import Any

from bandmark.backends.select import BACKENDS, INSTALL, is_installed
from bandmark.errors import EXIT_OK
from bandmark_kernels import DEFAULT_KERNELS, DTYPES, KERNELS, Kernel, Shape


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--probe", action="store_true", help="import each backend and say what it can do here")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def execute(arguments: argparse.Namespace) -> int:
    """Print the kernels and the backends; with --probe, what each backend can do here."""
    backends = {name: _probe(name) if arguments.probe else _installed(name) for name in BACKENDS}
    if arguments.json:
        print(json.dumps({"kernels": [_kernel(name) for name in KERNELS], "backends": backends}, indent=1))
        return EXIT_OK
    print(f"{'kernel':14}{'formula':34}{'read+written':14}{'flops':7}words and flops per element")
    for entry in map(_kernel, KERNELS):
        words = f"{entry['words_read']}+{entry['words_written']}"
        print(f"{entry['name']:14}{entry['formula']:34}{words:14}{entry['flops']:<7}{entry['besides']}".rstrip())
    others = [name for name in KERNELS if name not in DEFAULT_KERNELS]
    print(f"\nrun by name only (--kernel): {', '.join(others)}")
    print(f"\ndtypes: {', '.join(f'{d.name} ({d.itemsize} bytes)' for d in DTYPES.values())}\n")
    for name, state in backends.items():
        print(f"{name:7}{state['state']}")
    return EXIT_OK


def _kernel(name: str) -> dict[str, Any]:
    """Return what is known of a kernel, as --json prints it."""
    kernel = KERNELS[name]
    read, written = kernel.words
    vectors = [f"{o.extent} {'written' if o.is_written else 'read'}" for o in kernel.operands if o not in kernel.large]
    return {
        "name": name,
        "formula": kernel.formula,
        "words_read": read,
        "words_written": written,
        "flops": kernel.flops,
        "suite": kernel.suite,
        "dtypes": list(kernel.dtypes),
        "besides": _heads(kernel) or (f"and {', '.join(vectors)}" if kernel.is_matrix else _own_dtype(kernel)),
    }


def _heads(kernel: Kernel) -> str:
    """Return the heads of an attention."""
    if not kernel.columns:
        return ""
    heads, head_dim = kernel.identity["heads"], kernel.identity["head_dim"]
    return f"{heads} query heads over {kernel.columns // head_dim} KV heads of {head_dim}"


def _own_dtype(kernel: Kernel) -> str:
    """Return what a kernel of one dtype moves per element."""
    if len(kernel.dtypes) > 1:
        return ""
    dtype, one = DTYPES[kernel.dtypes[0]], Shape(1)
    return f"in {dtype.name}: {kernel.bytes_read(one, dtype)} + {kernel.bytes_written(one, dtype)} bytes"


def _installed(name: str) -> dict[str, str]:
    """Return whether a library is installed, without importing it."""
    return {"state": "installed" if is_installed(name) else f"not installed: {INSTALL.get(name, '')}"}


def _probe(name: str) -> dict[str, str]:
    """Import a library and return what it can do here, or why not."""
    if name == "numpy":
        import numpy

        return {"state": f"{numpy.__version__} on the CPU"}
    from bandmark.backends.select import discover

    discovery = discover([name])
    problem = discovery.problems.get(name)
    if problem and not (name == "torch" and "no accelerator" in problem):
        return {"state": problem}
    module = __import__(name)
    devices = ["the CPU"] * (name == "torch") + [f"{a.address} {a.device.name}" for a in discovery.accelerators]
    return {"state": f"{module.__version__} on {', '.join(devices)}"}
