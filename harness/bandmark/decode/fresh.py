"""What does this machine give right now? A quick run of the kernels that a prediction needs."""

from __future__ import annotations

from collections.abc import Sequence

from bandmark.console import LiveProgress, talk
from bandmark.decode.measured import MeasuredSystem
from bandmark.request import Request, open_session
from bandmark_kernels import KERNELS, ON_REQUEST


def measure_here(kernels: Sequence[str]) -> MeasuredSystem:
    """Measure some kernels of the table quickly; raises BandmarkError as a run does."""
    wanted = tuple(name for name in kernels if name in (*KERNELS, *ON_REQUEST))
    talk(f"no --results given: a quick run of {', '.join(wanted)}")
    session = open_session(Request(kernels=wanted, quick=True))
    with LiveProgress() as progress:
        measured = session.measure(progress=progress, save=lambda so_far: None)
    device = session.selection.device
    return MeasuredSystem(session.system, device.name, tuple(measured.rows), device.memory_bytes)
