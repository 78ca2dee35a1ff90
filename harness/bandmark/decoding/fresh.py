"""What does this machine give right now? A quick run of the kernels that a prediction needs."""

from __future__ import annotations

from collections.abc import Sequence

from bandmark.decoding.measured import MeasuredSystem
from bandmark.session.session import Request, Session, open_session
from bandmark.show.console import LiveProgress, talk


def measure_here(kernels: Sequence[str], weights: Sequence[str] = ()) -> MeasuredSystem:
    """Measure some kernels of the table quickly; raises BandmarkError as a run does.

    Args:
        kernels: their names.
        weights: packed formats that gemv is to be measured in. Where no library here runs any of them, it is measured
            in the device's usual dtype, which then stands in for them.
    """
    wanted = tuple(kernels)
    session = open_session(Request(kernels=wanted, quick=True, weights=tuple(weights)))
    if weights and not _packed(session):
        session.selection.close()
        session = open_session(Request(kernels=wanted, quick=True))
    formats = f" ({', '.join(found)})" if (found := _packed(session)) else ""
    running = [name for name in wanted if any(g.kernel.name == name and g.runnable for g in session.groups)]
    talk(f"no --results given: a quick run of {', '.join(n + formats if n == 'gemv' else n for n in running)}")
    with LiveProgress() as progress:
        measured = session.measure(progress=progress, save=lambda so_far: None)
    device = session.selection.device
    return MeasuredSystem(session.system, device.name, tuple(measured.rows), device.memory_bytes)


def _packed(session: Session) -> list[str]:
    """Return the packed formats that some library runs here."""
    return [group.kernel.weights.name for group in session.groups if group.kernel.weights and group.runnable]
