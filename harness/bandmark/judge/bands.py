"""Judge a percentage of the peak by published measurements on the same kind of memory, and by three named systems."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from bandmark.tables import read_table
from bandmark_kernels import KERNELS

KernelClass = Literal["read", "write", "mixed"]

_FAMILIES = {
    "DDR": "DDR",
    "DDR4": "DDR",
    "DDR5": "DDR",
    "GDDR6": "GDDR6",
    "GDDR6X": "GDDR6X and GDDR7",
    "GDDR7": "GDDR6X and GDDR7",
    "HBM2": "HBM",
    "HBM2e": "HBM",
    "HBM3": "HBM",
    "HBM3e": "HBM",
    "LPDDR5": "LPDDR5",
    "LPDDR5X": "LPDDR5X",
}
"""Memory types whose measurements are judged together; other types have no band. DDR is what --peak 2x5600 names."""

_MIN_DEVICES = 3  # devices with measurements of a kernel class from which the class has a band of its own
_MIN_ROWS = 3  # measurements of a family from which it has a band

_MARGIN_BELOW = 2
"""Points that a band extends below the lowest measurement: published figures are mostly the best of several runs, and
the percentage judged here is that of a median."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measurement:
    """One published measurement of data/measurements.csv."""

    device_id: str
    memory_type: str
    kernel: str
    percent_of_peak: float
    excluded: str
    """Why it counts in no band (another program ran, too small, too weak a kernel); empty if it counts."""
    source: str


@cache
def _load_measurements() -> tuple[_Measurement, ...]:
    return read_table("measurements.csv", _Measurement)


def kernel_class(kernel: str) -> KernelClass:
    """Return the class of a kernel's traffic; those that only read reach 5 to 12 points more than mixed ones.

    A kernel that a file names and this version does not have counts as mixed.
    """
    read, written = KERNELS[kernel].words if kernel in KERNELS else (1, 1)
    return "mixed" if read and written else "read" if read else "write"


def _plain_type(memory_type: str) -> str:
    """Return the memory type without its addition: "GDDR7 ECC" is "GDDR7"."""
    return memory_type.split(maxsplit=1)[0] if memory_type.strip() else ""


def _measured_like(memory_type: str) -> list[_Measurement]:
    family = _FAMILIES.get(memory_type)
    return [r for r in _load_measurements() if not r.excluded and family and _FAMILIES.get(r.memory_type) == family]


@cache
def _find_band(memory_type: str, kernel: str) -> tuple[int, int] | None:
    """Return the percentages of the peak that are normal, None where there are too few measurements.

    They are the lowest and highest percentage measured, rounded outwards, the lower less _MARGIN_BELOW: of the kernel's
    class where it was measured on enough devices, else of all kernels of the family.
    """
    rows = _measured_like(memory_type)
    alike = [r for r in rows if kernel_class(r.kernel) == kernel_class(kernel)]
    if len({row.device_id for row in alike}) >= _MIN_DEVICES:
        rows = alike
    elif len(rows) < _MIN_ROWS or _FAMILIES[memory_type] == "DDR":  # STREAM's results tell nothing of pure reads
        return None
    percents = [row.percent_of_peak for row in rows]
    return math.floor(min(percents)) - _MARGIN_BELOW, min(100, math.ceil(max(percents)))


def verdict(percent: float | None, memory_type: str | None, integrated: bool | None, kernel: str) -> str | None:
    """Return whether a percentage of the published peak is normal, such as "normal for GDDR7 (78-92 %)".

    The percentage is compared as it is shown, as a whole number. Without a percentage or a band there is no verdict.
    The bands of LPDDR come from integrated GPUs, so a device that is known not to be one has none.
    """
    name = _plain_type(memory_type or "")
    band = _find_band(name, kernel)
    if percent is None or band is None or (name.startswith("LPDDR") and integrated is False):
        return None
    low, high = band
    shown = round(percent)
    words = "low for" if shown < low else "above" if shown > high else "normal for"
    return f"{words} {name} ({low}-{high} %)"


def normal_gbs(words: str | None, peak_gbs: float | None) -> str:
    """Return a verdict of `verdict` with its range in GB/s instead of percent; empty without verdict or peak."""
    range_ = re.search(r"\((\d+)-(\d+) %\)$", words or "")
    if not words or not range_ or not peak_gbs:
        return ""
    low, high = (float(percent) / 100 * peak_gbs for percent in range_.groups())
    return f"{words[: range_.start()].strip()}, where {low:.3g}-{high:.3g} GB/s is normal"


@dataclass(frozen=True, slots=True)
class _Reference:
    """One of the three named systems that every result is compared with."""

    key: str
    label: str
    published_gbs: float
    """The figure that percentages divide by, in GB/s."""

    @property
    def column(self) -> str:
        """The name of the result column."""
        return f"percent_of_{self.key}"


REFERENCES = (
    _Reference("dgx_spark", "DGX Spark", 273.0),  # 256-bit LPDDR5X at 8533 MT/s, shared by CPU and GPU
    _Reference("rtx_pro_5000", "RTX PRO 5000", 1344.0),  # often rounded to 1.3 TB/s: 384-bit GDDR7 at 28 Gbit/s
    _Reference("dgx_station", "DGX Station", 8000.0),  # as announced
)
"""The comparison systems, in the order of the result columns; sources are in data/devices.csv."""

DGX_STATION_SHIPPING_GBS = 7100.0
"""GB/s in the datasheet of the DGX Station that ships; percentages divide by the announced figure."""


def place(gbs: float) -> str:
    """Return where a bandwidth lies among the published peaks of REFERENCES, in words."""
    below = [r for r in REFERENCES if r.published_gbs <= gbs]
    above = [f"the {r.label} ({r.published_gbs:g} GB/s)" for r in REFERENCES if r.published_gbs > gbs]
    if not below:
        return f"below {above[0]}: {100 * gbs / REFERENCES[0].published_gbs:.2g} % of its published peak"
    last = f"the {below[-1].label} ({below[-1].published_gbs:g} GB/s)"
    times = f"{gbs / below[-1].published_gbs:.2g} times the former's published peak"
    return f"between {last} and {above[0]}: {times}" if above else f"above {last}"
