"""Which raw samples in the JSON of a run belong to which row of its CSV?

The JSON holds a list of entries, one for each row with times. An entry names what identifies its row; the values that
tell few rows apart (a weight format, the size) may be left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bandmark.errors import FileError
from bandmark.results.faults import quote
from bandmark.results.row import Row

ALWAYS = ("backend", "kernel", "dtype")
"""What every entry names of its row."""

IDENTITY = (*ALWAYS, "variant", "weight_format", "m", "n", "heads", "head_dim")
"""What an entry may name of its row."""

PER_SAMPLE = ("clocks_mhz", "sensor_clocks_mhz", "braked_samples")
"""What an entry may have beside its times: clocks of the processors by the device's counters and by its sensors, and
the positions of the samples during which something held the clocks down, the first being 0."""

LARGEST = 1e9
"""Above all launches, seconds and megahertz."""


class Entries:
    """The entries of one run, by what they name of their rows."""

    def __init__(self, entries: Iterable[Any], file: Path | None = None) -> None:
        """Sort them; raises FileError, with the name of the file, for one that is none."""
        self._known: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for entry in entries:
            if not is_entry(entry):
                wanted = "no entry of samples (a case, launches, times in seconds); `bandmark validate` says more."
                raise FileError(f"{file or 'samples'}: {quote(entry)} is {wanted}")
            self._known.setdefault(tuple(entry[name] for name in ALWAYS), []).append(entry)

    def of(self, row: Row) -> list[dict[str, Any]]:
        """Return the entries that name nothing else than what the row is: one, unless the files are damaged."""
        alike = self._known.get(tuple(getattr(row, name) for name in ALWAYS), [])
        return [e for e in alike if all(e[name] == getattr(row, name) for name in IDENTITY if name in e)]

    def seconds(self, row: Row) -> tuple[float, ...]:
        """Return the seconds per launch of each sample of a row; empty where they are not known for sure."""
        own = self.of(row)
        return tuple(map(float, own[0]["seconds_per_launch"])) if len(own) == 1 else ()


def is_entry(entry: Any) -> bool:
    """Return whether a value has what every entry has: the case, launches, and times that a clock can show."""
    if not isinstance(entry, dict):
        return False
    seconds, launches = entry.get("seconds_per_launch"), entry.get("launches_per_sample")
    return (
        all(isinstance(entry.get(name), str) for name in ALWAYS)
        and isinstance(launches, int)
        and 0 < launches < LARGEST
        and isinstance(seconds, list)
        and bool(seconds)
        and all(isinstance(s, int | float) and s is not True and 0 < s < LARGEST for s in seconds)
        and all(_are_numbers(entry.get(name, [])) for name in PER_SAMPLE)
    )


def _are_numbers(values: Any) -> bool:
    """Return whether a value is a list of numbers that a clock, or a position, can be."""
    return isinstance(values, list) and all(isinstance(v, int | float) and 0 <= v < LARGEST for v in values)
