"""bandmark selftest: does the suite work on this GPU? One page, and a file to attach to a bug report."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bandmark import __version__
from bandmark.backends.select import Target, open_target
from bandmark.device.machine import Machine, read_machine
from bandmark.device.peaks import Peak
from bandmark.errors import EXIT_FAILED, EXIT_OK, BandmarkError, FileError, describe
from bandmark.measure.sampling import CaseFailedError
from bandmark.options import names
from bandmark.results.privacy import clean_text, own_names
from bandmark.selftest.checks import Check, check_results
from bandmark.selftest.timing import Timing
from bandmark.session.runner import utc_now
from bandmark.session.session import new_run_id
from bandmark.show.console import talk
from bandmark.suites.bandwidth import pick, pick_kernels
from bandmark.units import format_bytes, parse_bytes
from bandmark_kernels import DTYPES

MARKS = {True: "PASS", False: "FAIL", None: "----"}


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--device", metavar="DEVICE", help="cuda, cuda:1 ... (default: the GPU with the highest peak)")
    parser.add_argument("--kernel", type=names, metavar="NAME,...", help="kernels to check (default: all)")
    parser.add_argument("--dtype", type=names, metavar="NAME,...", help="dtypes to check (default: all)")
    parser.add_argument("--size", metavar="BYTES", help="bytes of each array in the timing checks (default: a run's)")
    parser.add_argument("--output", metavar="FILE.txt", help="where to write the page (default: a new file here)")


def execute(arguments: argparse.Namespace) -> int:
    """Check the device, print the page, leave the file, and return 1 if a check failed."""
    kernels = pick_kernels(arguments.kernel or ("all",))
    dtypes = pick("dtype", arguments.dtype, DTYPES)
    size = parse_bytes(arguments.size) if arguments.size else None
    file = _free(Path(arguments.output or f"bandmark-selftest-{new_run_id(utc_now())}.txt"))
    machine = read_machine()
    target = open_target(machine, names=["cupy"], address=arguments.device)
    try:
        backend: Any = target.backends[0]
        peak = target.peak
        clean = _cleaner(machine, target)
        page = [clean(line) for line in about(target, machine, peak)]
        print("\n".join(page), flush=True)
        checks = []
        timing = Timing(backend, peak, size=size)
        for check in _both(check_results(backend, kernels, dtypes), timing.checks(kernels)):
            checks.append(check)
            page.append(clean(line_of(check)))
            print(page[-1], flush=True)
    finally:
        target.close()
    page += ["", summary(checks)]
    print("\n".join(page[-2:]), flush=True)
    _write(file, [*page, *map(clean, details(checks))])
    talk(f"wrote {file}: attach it to a bug report; it names no person and no machine")
    return EXIT_FAILED if any(check.passed is False for check in checks) else EXIT_OK


def about(target: Target, machine: Machine, peak: Peak) -> Iterator[str]:
    """Yield the page's head: what was tested, with what."""
    device, backend = target.device, target.backends[0]
    facts = backend.facts()
    capability = ".".join(map(str, device.compute_capability or ()))
    memory = format_bytes(device.memory_bytes) if device.memory_bytes else "unknown"
    shared = " shared with the system" if device.integrated else ""
    cache = format_bytes(device.llc_bytes) if device.llc_bytes else "unknown"
    yield f"bandmark {__version__} selftest, {utc_now():%Y-%m-%d %H:%M} UTC"
    yield f"device    {device.name}, compute capability {capability}, {device.sm_count} multiprocessors"
    yield f"memory    {memory}{shared}, L2 {cache}, bus {device.bus_width_bits or 'unknown'} bits"
    yield f"peak      {f'{peak.gbs:g} GB/s' if peak.gbs else 'unknown'}"
    yield f"driver    {backend.driver or 'unknown'}, CUDA {facts['cuda_driver']}, runtime {facts['cuda_runtime']}"
    yield f"software  CuPy {backend.version}, NVRTC {facts['nvrtc']}, Python {machine.python_version}"
    yield f"system    {platform.system()} {platform.release()}, {machine.architecture}"
    yield ""


def line_of(check: Check) -> str:
    """Return a check's line on the page; a failed one also says what would have passed."""
    wanted = "" if check.passed else f"\n      wanted: {check.wanted}"
    return f"{MARKS[check.passed]}  {check.name:18} {check.seen}{wanted}"


def summary(checks: Sequence[Check]) -> str:
    """Return the page's last line."""
    failed = [check.name for check in checks if check.passed is False]
    passed = sum(check.passed is True for check in checks)
    untold = len(checks) - passed - len(failed)
    said = f"{passed} of {len(checks)} checks passed"
    said += f", {untold} could not be judged" if untold else ""
    return f"{said}; FAILED: {', '.join(failed)}" if failed else said


def details(checks: Iterable[Check]) -> Iterator[str]:
    """Yield what the file has beyond the page."""
    for check in checks:
        yield ""
        yield f"{check.name}: {check.wanted}"
        yield from (f"  {line}" for line in check.details)


def _both(results: Iterator[Check], timing: Iterator[Check]) -> Iterator[Check]:
    """Yield the checks of the results, then those of the timing; an error there is a failed check with its reason."""
    yield from results
    try:
        yield from timing
    except BandmarkError:
        raise
    except Exception as error:  # a device can fail in many ways; the page says which
        problem = error.problem if isinstance(error, CaseFailedError) else error
        yield Check("timing", False, describe(problem), "the timing checks run to their end")


def _cleaner(machine: Machine, target: Target) -> Callable[[str], str]:
    """Return what takes names of persons and machines, serial numbers and paths out of a line."""
    public = {
        "system": "",
        "device": {"name": target.device.name},
        "machine": {"cpu_model_name": machine.cpu_model_name},
    }
    names = own_names(public)
    return lambda line: clean_text(line, names)[0]


def _free(file: Path) -> Path:
    """Return a place where no file is yet; raises FileError if there is one."""
    if file.exists():
        raise FileError(f"{file} exists. Choose another --output.")
    return file


def _write(file: Path, lines: Sequence[str]) -> None:
    try:
        with file.open("x", encoding="utf-8", newline="\n") as out:
            out.write("\n".join(lines) + "\n")
    except OSError as error:
        raise FileError(f"can't write {file}: {error.strerror}. Choose another --output.") from error
