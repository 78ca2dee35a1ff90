"""The run record: the JSON beside a result CSV, with everything about a run that a row has no room for.

It has an entry of samples for each row with times. An entry names what identifies its row; columns that tell few rows
apart may be left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bandmark.device.device import Device
from bandmark.device.machine import Machine
from bandmark.device.peaks import Peak
from bandmark.errors import FileError
from bandmark.results.case import CaseId
from bandmark.results.reading import JsonObject
from bandmark.results.row import Row
from bandmark.units import quote

_REQUIRED = ("backend", "kernel", "dtype")
"""What every entry names of its row."""

_PER_SAMPLE = ("clocks_mhz", "sensor_clocks_mhz", "braked_samples", "load_gbs", "energy_j")

_LIMIT = 1e9
"""Above all launches, seconds and megahertz."""


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
    rows: int | None = None
    """Number of rows in the CSV, by which one that was cut off at the end of a line is noticed; None before 0.2.0."""

    def to_json(self) -> JsonObject:
        """Return the record as it is written."""
        record = {f.name: getattr(self, f.name) for f in fields(self)}
        return record | {name: asdict(record[name]) for name in ("machine", "device", "peak")}


class Entries:
    """The entries of one run, by what they name of their rows."""

    def __init__(self, entries: Iterable[Any], file: Path | None = None) -> None:
        """Sort them; raises FileError, with the name of the file, for one that is none."""
        self._known: dict[tuple[str, ...], list[JsonObject]] = {}
        for entry in entries:
            if not is_entry(entry):
                wanted = "no entry of samples (a case, launches, times in seconds); `bandmark validate` says more."
                raise FileError(f"{file or 'samples'}: {quote(entry)} is {wanted}")
            self._known.setdefault(tuple(entry[name] for name in _REQUIRED), []).append(entry)

    def of(self, row: Row) -> list[JsonObject]:
        """Return the entries that name nothing else than what the row is: one, unless the files are damaged.

        The pattern tells rows of one kernel and size apart, so it is never left out.
        """
        case, known = CaseId.of(row), self._known.get(tuple(row.get(name) for name in _REQUIRED), [])
        return [e for e in known if case.matches(e) and ("pattern" in e) == (row.pattern is not None)]

    def seconds(self, row: Row) -> tuple[float, ...]:
        """Return the seconds per launch of each sample of a row; empty where they are not known for sure."""
        entries = self.of(row)
        return tuple(map(float, entries[0]["seconds_per_launch"])) if len(entries) == 1 else ()


def is_entry(entry: Any) -> bool:
    """Return whether a value has what every entry has: the case, launches, and times that a clock can show."""
    if not isinstance(entry, dict) or not all(isinstance(entry.get(name), str) for name in _REQUIRED):
        return False
    seconds, launches = entry.get("seconds_per_launch"), entry.get("launches_per_sample")
    if not isinstance(launches, int) or not seconds or not _are_numbers(seconds) or not _are_numbers([launches]):
        return False
    return all(_are_numbers(entry.get(name, [])) for name in _PER_SAMPLE) and 0 not in (launches, *seconds)


def _are_numbers(values: Any) -> bool:
    """Return whether a value is a list of numbers that a clock, or a position, can be."""
    return isinstance(values, list) and all(type(v) in (int, float) and 0 <= v < _LIMIT for v in values)
