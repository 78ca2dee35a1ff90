"""A quick run of the kernels that a prediction needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bandmark.decoding.measured import MeasuredSystem
from bandmark.options import RunOptions
from bandmark.session.session import Session, open_session, run_session
from bandmark.show.console import LiveProgress, talk


def measure_here(kernels: Sequence[str], weights: Sequence[str] = ()) -> MeasuredSystem:
    """Measure some kernels of the table quickly; raises BandmarkError as a run does.

    gemv is measured in these quantized formats of weights, or in the device's usual dtype if no library runs any.
    """
    options = RunOptions(kernels=tuple(kernels), quick=True, weights=tuple(weights))
    if weights and not _runs_any(options):
        options = replace(options, weights=())
    with LiveProgress() as progress:
        session = run_session(options, on_start=_tell, progress=progress)
    if session.interrupted:
        raise KeyboardInterrupt
    device = session.target.device
    return MeasuredSystem(session.system, device.name, tuple(session.rows()), device.memory_bytes)


def _runs_any(options: RunOptions) -> bool:
    """Return whether some library runs one of the quantized formats asked for."""
    session = open_session(options)
    session.target.close()
    return any(_kernels(session).values())


def _tell(session: Session) -> None:
    """Say what is about to be measured."""
    names = [f"{kernel} ({', '.join(formats)})" if formats else kernel for kernel, formats in _kernels(session).items()]
    talk(f"no --results given: a quick run of {', '.join(names)}")


def _kernels(session: Session) -> dict[str, list[str]]:
    """Return the kernels that some library runs here, each with its quantized formats."""
    kernels: dict[str, list[str]] = {}
    for case in (case for group in session.groups for case in group.runnable):
        formats = kernels.setdefault(case.columns["kernel"], [])
        weight_format = case.columns["weight_format"]
        if weight_format and weight_format not in formats:
            formats.append(weight_format)
    return kernels
