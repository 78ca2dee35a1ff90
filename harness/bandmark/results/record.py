"""The run record: the JSON beside a result CSV, with everything about a run that a row has no room for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from bandmark.device.device import Device
from bandmark.device.machine import Machine
from bandmark.device.peaks import Peak


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run; the fields are the keys of the JSON, in order."""

    schema: int
    run_id: str
    bandmark_version: str
    started_utc: str
    finished_utc: str
    system: str
    complete: bool
    settings: Mapping[str, Any]
    """The options of the run, as bandmark.options.RunOptions has them."""
    machine: Machine
    device: Device
    backends: Mapping[str, Mapping[str, Any]]
    """Version, driver, threads and build of each backend, by name."""
    peak: Peak
    notes: Sequence[str]
    samples: Sequence[Mapping[str, Any]]
    """An entry for each timed case: its identity and its measurement (bandmark.measure.measurement)."""

    def to_json(self) -> dict[str, Any]:
        """Return the record as it is written."""
        record = {f.name: getattr(self, f.name) for f in fields(self)}
        return record | {name: asdict(record[name]) for name in ("machine", "device", "peak")}
