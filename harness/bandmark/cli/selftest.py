"""bandmark selftest: check kernels and timing on this GPU; one page, and a file to attach to a bug report."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from bandmark.backends.select import open_target
from bandmark.device.machine import read_machine
from bandmark.errors import EXIT_FAILED, EXIT_OK, BandmarkError, FileError, UsageError, describe
from bandmark.measure.sampling import CaseFailedError
from bandmark.options import names
from bandmark.results.privacy import clean_text, own_names
from bandmark.selftest.checks import Check, check_results, details, head, line, summary
from bandmark.selftest.suites import check_suites
from bandmark.selftest.timing import Timing
from bandmark.session.runner import utc_now
from bandmark.session.session import new_run_id
from bandmark.show.console import info
from bandmark.suites.selection import pick, pick_kernels
from bandmark.units import parse_bytes
from bandmark_kernels import DTYPES, MATRIX_FORMATS, DType, Kernel

if TYPE_CHECKING:
    from bandmark.backends.cupy_backend import CupyBackend


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--device", metavar="DEVICE", help="cuda, cuda:1 ... (default: the GPU with the highest peak)")
    parser.add_argument("--kernel", type=names, metavar="NAME,...", help="kernels to check (default: all)")
    parser.add_argument("--dtype", type=names, metavar="NAME,...", help="dtypes to check (default: all)")
    parser.add_argument("--size", metavar="BYTES", help="bytes of each array in the timing checks (default: a run's)")
    parser.add_argument("--output", metavar="FILE.txt", help="where to write the page (default: a new file here)")
    parser.add_argument(
        "--full",
        action="store_true",
        help="run everything, in some 30 minutes: all kernels, variants and suites, profiler and sanitizers where they "
        "are; --output is then a new folder, whose README.md says which claims of the documentation hold here",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Check the device, print the page, write the file, and return 1 if a check failed."""
    if arguments.full:
        return _run_all(arguments)
    kernels = _with_formats(pick_kernels(arguments.kernel or ("all",)))
    dtypes = pick("dtype", arguments.dtype, DTYPES)
    size = parse_bytes(arguments.size) if arguments.size else None
    file = Path(arguments.output or f"bandmark-selftest-{new_run_id(utc_now())}.txt")
    if file.exists():
        raise FileError(f"{file} exists. Choose another --output.")
    machine = read_machine()
    target = open_target(machine, names=["cupy"], address=arguments.device)
    try:
        backend = cast("CupyBackend", target.backends[0])
        clean = _cleaner(target.device.name, machine.cpu_model_name)
        lines = list(map(clean, head(backend, machine, target.peak)))
        print("\n".join(lines), flush=True)
        checks = []
        suites = () if arguments.kernel else check_suites(target)
        for check in _checks(backend, kernels, dtypes, suites, Timing(backend, target.peak, size=size)):
            checks.append(check)
            lines.append(clean(line(check)))
            print(lines[-1], flush=True)
    finally:
        target.close()
    lines += ["", summary(checks)]
    print("\n".join(lines[-2:]), flush=True)
    _write(file, [*lines, *map(clean, details(checks))])
    info(f"wrote {file}: attach it to a bug report; it names no person and no machine")
    return EXIT_FAILED if any(check.passed is False for check in checks) else EXIT_OK


def _with_formats(kernels: Sequence[Kernel]) -> list[Kernel]:
    """Return kernels, each followed by those of its formats of weights or of a cache."""
    named = {k.label: k for kernel in kernels for k in (kernel, *MATRIX_FORMATS.get(kernel.name, {}).values())}
    return list(named.values())


def _run_all(arguments: argparse.Namespace) -> int:
    """Run the steps of a full self-test, and return 1 if a claim is refuted."""
    from bandmark.selftest.claims import WORDS
    from bandmark.selftest.full import STEPS, Judged, new_folder, run_steps

    if arguments.kernel or arguments.dtype or arguments.size:
        raise UsageError("--full measures everything: leave --kernel, --dtype and --size out.")
    target = open_target(read_machine(), names=["cupy"], address=arguments.device)
    target.close()
    folder = new_folder(arguments.output or f"bandmark-selftest-{new_run_id(utc_now())}")
    judged: Judged = []
    for result, judged in run_steps(STEPS, folder, target.address):  # noqa: B007 - the last ones count
        print(f"{result.step.name:10} {result.words}, {result.seconds:.0f} s", flush=True)
    print("", *(f"{WORDS[holds]:10} {claim.text} {figures}" for claim, holds, figures in judged), sep="\n")
    info(f"wrote {folder / 'README.md'} and what it is read from")
    return EXIT_FAILED if any(holds is False for _, holds, _ in judged) else EXIT_OK


def _checks(
    backend: CupyBackend,
    kernels: Sequence[Kernel],
    dtypes: Sequence[DType],
    suites: Iterable[Check],
    timing: Timing,
) -> Iterator[Check]:
    """Yield the checks of results, then those of timing; an error in the latter is a failed check with its reason."""
    yield from check_results(backend, kernels, dtypes)
    yield from suites
    try:
        yield from timing.checks(kernels)
    except BandmarkError:
        raise
    except Exception as error:  # a device can fail in many ways; the page says which
        problem = error.problem if isinstance(error, CaseFailedError) else error
        yield Check("timing", False, describe(problem), "the timing checks run to their end")


def _cleaner(device: str, cpu: str) -> Callable[[str], str]:
    """Return a function that removes names of persons and machines, serial numbers and paths from a line."""
    private = own_names({"system": "", "device": {"name": device}, "machine": {"cpu_model_name": cpu}})
    return lambda line: clean_text(line, private)[0]


def _write(file: Path, lines: Sequence[str]) -> None:
    try:
        with file.open("x", encoding="utf-8", newline="\n") as out:
            out.write("\n".join(lines) + "\n")
    except OSError as error:
        raise FileError(f"can't write {file}: {error.strerror}. Choose another --output.") from error
