"""Write a check as a line, as JSON and for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from bandmark.check.check import DeviceCheck, exit_code
from bandmark.errors import EXIT_FAILED, EXIT_OK, EXIT_UNJUDGED
from bandmark.units import printable

_MAX_LINE = 80
"""Characters of the line: node-problem-detector cuts what is longer."""

_WORDS = {EXIT_OK: "ok", EXIT_FAILED: "below", EXIT_UNJUDGED: "unknown"}


def overall(checks: Sequence[DeviceCheck]) -> int:
    """Return the exit code of all devices together."""
    return exit_code(reason for check in checks for reason in check.reasons)


def reasons(checks: Sequence[DeviceCheck]) -> list[str]:
    """Return all reasons, the worst first, each with the address of its device."""
    ranked = [(reason, check.address) for check in checks for reason in check.reasons]
    ranked.sort(key=lambda pair: (pair[0].exit_code != EXIT_FAILED, -pair[0].weight))
    return [f"{address} {reason.text}" for reason, address in ranked]


def line(checks: Sequence[DeviceCheck]) -> str:
    """Return the result in at most 80 characters, the worst reason first."""
    code, texts = overall(checks), reasons(checks)
    if code == EXIT_OK:
        parts = [f"{c.address} {case} {f.value:.4g}" for c in checks for case, f in c.figures.items() if f.value]
        return _cut(f"ok: {', '.join(parts)}")
    more = f"; {len(texts) - 1} more" if len(texts) > 1 else ""
    return _cut(f"{_WORDS[code]}: {texts[0]}", _MAX_LINE - len(more)) + more


def _cut(text: str, width: int = _MAX_LINE) -> str:
    text = printable(text)
    return text if len(text) <= width else text[: width - 3] + "..."


def details(checks: Sequence[DeviceCheck]) -> Iterator[str]:
    """Yield the reasons whole, then each known fault with what to do."""
    yield from reasons(checks)
    for check in checks:
        for fault in check.faults:
            yield f"{check.address} {fault.name}: {fault.remedy}"


def as_json(checks: Sequence[DeviceCheck]) -> dict[str, Any]:
    """Return the check for programs."""
    code = overall(checks)
    devices = [asdict(check) | {"exit_code": check.exit_code} for check in checks]
    return {"status": _WORDS[code], "exit_code": code, "line": line(checks), "devices": devices}


_COUNTERS = ("ecc_uncorrected", "row_remap_pending", "row_remap_failed", "pcie_replays")


def prometheus(checks: Sequence[DeviceCheck]) -> str:
    """Return the check in Prometheus's text format, without timestamps, which a textfile collector refuses."""
    status = ("bandmark_check_status", "Exit code of bandmark check: 0 as expected, 1 below, 3 unknown.")
    values = ("bandmark_bandwidth_bytes_per_second", "Bytes of a case over the median time of a launch.")
    limits = ("bandmark_bandwidth_limit_bytes_per_second", "Bandwidth below which a case is too slow.")
    lines = [*_head(*status), f"bandmark_check_status {overall(checks)}", *_head(*values)]
    figures = [(c, case, f.value) for c in checks for case, f in c.figures.items() if f.value and f.unit == "GB/s"]
    lines += [_sample(values[0], check, 1e9 * gbs, case=case) for check, case, gbs in figures]
    bounded = [_sample(limits[0], c, 1e9 * c.limits[case], case=case) for c, case, _ in figures if case in c.limits]
    lines += [*_head(*limits), *bounded] if bounded else []
    for counter in _COUNTERS:
        lines += _counted(f"bandmark_{counter}", counter, checks)
    return "\n".join(lines) + "\n"


def _counted(name: str, counter: str, checks: Sequence[DeviceCheck]) -> list[str]:
    """Return the lines of a counter, none where no device has it."""
    known = [check for check in checks if check.facts.get(counter) is not None]
    samples = [_sample(name, check, float(check.facts[counter])) for check in known]
    return [*_head(name, f"{counter} of NVML."), *samples] if samples else []


def _head(name: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} gauge"]


def _sample(name: str, check: DeviceCheck, value: float, **more: str) -> str:
    labels = {"address": check.address, "device": check.device, **more}
    pairs = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{pairs}}} {value:.9g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
