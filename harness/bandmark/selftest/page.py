"""Write the page of the self-test: what was tested, a line per check, and a summary."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bandmark import __version__
from bandmark.device.machine import Machine
from bandmark.device.peaks import Peak
from bandmark.selftest.checks import Check
from bandmark.session.runner import utc_now
from bandmark.units import format_bytes

if TYPE_CHECKING:
    from bandmark.backends.cupy_backend import CupyBackend

_MARKS = {True: "PASS", False: "FAIL", None: "----"}


def head(backend: CupyBackend, machine: Machine, peak: Peak) -> Iterator[str]:
    """Yield the lines on what is tested, with what."""
    device, facts = backend.device, backend.facts()
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


def line(check: Check) -> str:
    """Return a check's line; a check that did not pass has a second one on what passes."""
    expected = "" if check.passed else f"\n      expected: {check.expected}"
    return f"{_MARKS[check.passed]}  {check.name:18} {check.result}{expected}"


def summary(checks: Sequence[Check]) -> str:
    """Return the page's last line."""
    failed = [check.name for check in checks if check.passed is False]
    passed = sum(check.passed is True for check in checks)
    open_count = len(checks) - passed - len(failed)
    text = f"{passed} of {len(checks)} checks passed"
    text += f", {open_count} could not be judged" if open_count else ""
    return f"{text}; FAILED: {', '.join(failed)}" if failed else text


def details(checks: Sequence[Check]) -> Iterator[str]:
    """Yield the lines of the file after the page."""
    for check in checks:
        yield ""
        yield f"{check.name}: {check.expected}"
        yield from (f"  {detail}" for detail in check.details)
