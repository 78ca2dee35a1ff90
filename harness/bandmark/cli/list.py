"""bandmark list: print the kernels, the suites, the dtypes and the backends."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from bandmark.backends.discovery import BACKENDS, LIBRARIES, discover, is_installed
from bandmark.errors import EXIT_OK
from bandmark.results.reading import JsonObject
from bandmark.suites import SUITES
from bandmark.units import json_text
from bandmark_kernels import DEFAULT_KERNELS, DTYPES, KERNELS, Kernel, Shape
from bandmark_kernels.core.cuda import VARIANTS, variants

_NEWEST = (12, 1)
"""A compute capability that has every variant."""


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--probe", action="store_true", help="import each backend and say what it can do here")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def execute(arguments: argparse.Namespace) -> int:
    """Print kernels, suites, dtypes and backends; with --probe, what each backend can do here."""
    listed: JsonObject = {
        "kernels": [_kernel(name) for name in KERNELS],
        "suites": {name: suite.title for name, suite in SUITES.items()},
        "backends": {name: {"state": _probe(name) if arguments.probe else _installed(name)} for name in BACKENDS},
    }
    print(json_text(listed) if arguments.json else "\n".join(_lines(**listed)))
    return EXIT_OK


def _lines(kernels: list[JsonObject], suites: dict[str, str], backends: dict[str, dict[str, str]]) -> Iterator[str]:
    yield f"{'kernel':14}{'formula':34}{'read+written':14}{'flops':7}words and flops per element"
    for entry in kernels:
        words = f"{entry['words_read']}+{entry['words_written']}"
        yield f"{entry['name']:14}{entry['formula']:34}{words:14}{entry['flops']:<7}{entry['besides']}".rstrip()
    others = [name for name in KERNELS if name not in DEFAULT_KERNELS]
    yield f"\nrun by name only (--kernel): {', '.join(others)}\n"
    further = (f"{v} ({e['name']})" for e in kernels for v in e["cuda_variants"] if v not in VARIANTS)
    yield f"CUDA variants: {', '.join((*VARIANTS, *further))}\n"
    width = max(map(len, suites)) + 1
    yield from (f"suite {name:{width}}{title}" for name, title in suites.items())
    yield f"\ndtypes: {', '.join(f'{d.name} ({d.itemsize} bytes)' for d in DTYPES.values())}\n"
    yield from (f"{name:7}{entry['state']}" for name, entry in backends.items())


def _kernel(name: str) -> JsonObject:
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
        "cuda_variants": list(variants(kernel, _NEWEST)),
        "besides": _heads(kernel) or (f"and {', '.join(vectors)}" if kernel.is_matrix else _only_dtype(kernel)),
    }


def _heads(kernel: Kernel) -> str:
    """Return the heads of an attention."""
    if not kernel.columns:
        return ""
    heads, head_dim = kernel.identity["heads"], kernel.identity["head_dim"]
    return f"{heads} query heads over {kernel.columns // head_dim} KV heads of {head_dim}"


def _only_dtype(kernel: Kernel) -> str:
    """Return what a kernel of one dtype moves per element."""
    if len(kernel.dtypes) > 1:
        return ""
    dtype, one = DTYPES[kernel.dtypes[0]], Shape(1)
    return f"in {dtype.name}: {kernel.bytes_read(one, dtype)} + {kernel.bytes_written(one, dtype)} bytes"


def _installed(name: str) -> str:
    return "installed" if is_installed(name) else f"not installed: {LIBRARIES[name].install}"


def _probe(name: str) -> str:
    """Import a library and return what it can do here, or why not."""
    discovery = discover([name])
    places = [f"{a.address} {a.device.name}" for a in discovery.accelerators]
    if LIBRARIES[name].on_cpu:
        places.insert(0, "the CPU")
    if name not in discovery.modules or not places:
        return discovery.problems[name]
    return f"{__import__(name).__version__} on {', '.join(places)}"
