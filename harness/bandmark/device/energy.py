"""Read the energy counters of a CPU: Intel's and AMD's running average power limit (RAPL), as Linux shows it.

The counters of NVIDIA devices are read in `bandmark.device.sensors`. Each counts from an arbitrary start, so only the
difference of two readings means something.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bandmark.device.system import read_number, read_text

_FOLDER = "sys/class/powercap"

_ZONES = "intel-rapl:*"
"""The zones of package and memory, AMD's too (drivers/powercap/intel_rapl_msr.c). The zones intel-rapl-mmio:* are the
same packages by other registers, so they would count twice."""


@dataclass(frozen=True, slots=True)
class _Zone:
    """A counter in microjoules that starts again from 0 past its range (Documentation/power/powercap/powercap.rst)."""

    file: Path
    range_uj: int


class Rapl:
    """The energy counters of all packages of a machine, and of their memory where it has counters of its own.

    The zones core and uncore are parts of their package, and psys covers the packages: none of the three is added.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        """Find the counters of a machine whose /sys is below `root`."""
        self._zones: dict[str, _Zone] = {}
        self.reason: str | None = None
        """Why there is no energy to read, and what to do; None if there is."""
        for folder in sorted((root / _FOLDER).glob(_ZONES)):
            range_uj = read_number(folder / "max_energy_range_uj")
            if range_uj and _is_counted(read_text(folder / "name")):
                self._zones[folder.name] = _Zone(folder / "energy_uj", range_uj)
        self.reason = self._find_reason()

    def read(self) -> Mapping[str, int]:
        """Return the microjoules of each counter that can be read, by zone."""
        values = {name: read_number(zone.file) for name, zone in self._zones.items()}
        return {name: value for name, value in values.items() if value is not None}

    def joules(self, before: Mapping[str, int], after: Mapping[str, int]) -> float | None:
        """Return the energy between two readings, during which no counter passed its range twice.

        None if a counter is missing from either reading, or if none moved: a virtual machine may show dead counters.
        """
        if not self._zones or before.keys() != self._zones.keys() or after.keys() != self._zones.keys():
            return None
        spent_uj = sum(_difference_uj(before[name], after[name], zone) for name, zone in self._zones.items())
        return spent_uj / 1e6 if spent_uj else None

    def _find_reason(self) -> str | None:
        if not self._zones:
            return f"the system shows no energy counter of the processors (/{_FOLDER}/{_ZONES})"
        if self.read().keys() == self._zones.keys():
            return None
        return (
            "the processors' energy counters can't be read, since Linux 5.10 by root alone: "
            f"run as root, or allow it by sudo chmod a+r /{_FOLDER}/{_ZONES}/energy_uj"
        )


def _is_counted(name: str | None) -> bool:
    return name is not None and (name.startswith("package") or name == "dram")


def _difference_uj(before: int, after: int, zone: _Zone) -> int:
    return after - before if after >= before else after + zone.range_uj - before
