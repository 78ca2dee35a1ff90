"""A quick run of the kernels that a prediction needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bandmark.decoding.measured import MeasuredSystem
from bandmark.options import RunOptions
from bandmark.session.session import Session, open_session, run_session
from bandmark.show.console import LiveProgress, talk
from bandmark.suites.base import runnable


def measure_here(kernels: Sequence[str], weights: Sequence[str] = ()) -> MeasuredSystem:
    """Measure some kernels of the table quickly; raises BandmarkError as a run does.

    Args:
        kernels: their names.
        weights: packed formats that gemv is to be measured in. Where no library here runs any of them, it is measured
            in the device's usual dtype, which then stands in for them.
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
    return bool(_quantized(session))


def _tell(session: Session) -> None:
    """Say what is about to be measured."""
    formats = _quantized(session)
    names = [c.columns["kernel"] for group in session.groups for c in runnable(group)]
    kernels = [f"{n} ({', '.join(formats)})" if n == "gemv" and formats else n for n in dict.fromkeys(names)]
    talk(f"no --results given: a quick run of {', '.join(kernels)}")


def _quantized(session: Session) -> list[str]:
    """Return the formats of quantized weights that some library runs here."""
    formats = [c.columns["weight_format"] for group in session.groups for c in runnable(group)]
    return list(dict.fromkeys(name for name in formats if name))
