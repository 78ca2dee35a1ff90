"""A percentage is judged by bands that follow from the published measurements shipped with the package."""

import csv
import math
import re
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.device.peaks import load_catalog
from bandmark.judge.bands import (
    _FAMILIES,
    _MARGIN_BELOW,
    _find_band,
    _load_measurements,
    _plain_type,
    kernel_class,
    normal_gbs,
    place,
    verdict,
)

KERNELS = ("copy", "scale", "add", "triad", "nstream", "dot", "read", "write", "gemv", "gemv_t", "kv", "adamw")
TYPES = sorted(_FAMILIES)
CPU_TYPES = ("DDR4", "DDR5")
ROWS = _load_measurements()
CATALOG = {row.id: row for row in load_catalog()}

# The bands as they stand: a changed measurement changes them knowingly.
BANDS = {
    ("GDDR7", "read"): (78, 97),
    ("GDDR7", "triad"): (78, 92),
    ("GDDR6X", "copy"): (78, 92),
    ("GDDR6", "gemv"): (73, 98),
    ("GDDR6", "copy"): (73, 97),
    ("HBM2", "dot"): (79, 97),
    ("HBM3", "write"): (79, 100),
    ("HBM3e", "triad"): (73, 95),
    ("LPDDR5X", "gemv"): (78, 95),
    ("DDR5", "copy"): (61, 86),
}


def test_every_measurement_has_a_source_and_a_known_device() -> None:
    """Each shipped measurement names its source, a device of the catalogue and that device's memory."""
    assert len(ROWS) > 80
    for row in ROWS:
        assert row.source.strip() and "memory" not in row.source.split("; ")
        assert 0 < row.percent_of_peak <= 100
        if row.memory_type in CPU_TYPES:  # the catalogue has no CPUs
            continue
        assert _plain_type(CATALOG[row.device_id].memory_type) == row.memory_type
        assert CATALOG[row.device_id].published_gbs is not None


def test_the_percentages_are_of_the_catalogues_peaks() -> None:
    """percent_of_peak is bandwidth over the published peak of data/devices.csv, or channels x rate, to a tenth."""
    text = files("bandmark").joinpath("data", "measurements.csv").read_text(encoding="utf-8")
    for cells in csv.DictReader(text.splitlines()):
        if cells["memory_type"] in CPU_TYPES:
            sockets, channels, rate, width = map(int, re.findall(r"\d+", cells["conditions"]))
            peak = sockets * channels * rate * width / 1e3
        else:
            peak = CATALOG[cells["device_id"]].published_gbs
        assert float(cells["peak_gbs"]) == peak
        assert float(cells["percent_of_peak"]) == pytest.approx(100 * float(cells["bandwidth_gbs"]) / peak, abs=0.06)


@pytest.mark.parametrize(("key", "band"), BANDS.items())
def test_the_bands_are_these(key: tuple[str, str], band: tuple[int, int]) -> None:
    """The bands that users see, written out, so that no change of the data goes unseen."""
    assert _find_band(*key) == band


@pytest.mark.parametrize("memory_type", TYPES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_bands_follow_from_the_measurements_that_count(memory_type: str, kernel: str) -> None:
    """Lowest measured, rounded down, less the margin, to highest, rounded up; of 3 devices or the family."""
    family = [r for r in ROWS if _FAMILIES[r.memory_type] == _FAMILIES[memory_type] and not r.excluded]
    own = [r for r in family if kernel_class(r.kernel) == kernel_class(kernel)]
    used = own if len({r.device_id for r in own}) >= 3 else family
    band = _find_band(memory_type, kernel)
    if len(used) < 3 or (memory_type.startswith("DDR") and used is not own):
        assert band is None
        return
    percents = [r.percent_of_peak for r in used]
    assert band == (math.floor(min(percents)) - _MARGIN_BELOW, min(100, math.ceil(max(percents))))


@given(
    percent=st.none() | st.floats(0, 400),
    memory_type=st.none() | st.sampled_from([*TYPES, "GDDR7 ECC", "DDR5", "GDDR5", ""]),
    integrated=st.none() | st.booleans(),
    kernel=st.sampled_from(KERNELS),
)
def test_every_verdict_fits_a_table(
    percent: float | None, memory_type: str | None, integrated: bool | None, kernel: str
) -> None:
    """At most 28 characters."""
    assert len(verdict(percent, memory_type, integrated, kernel) or "") <= 28


@pytest.mark.parametrize(
    ("percent", "kernel", "text"),
    [
        (82.0, "read", "normal for GDDR7 (78-97 %)"),
        (82.0, "triad", "normal for GDDR7 (78-92 %)"),
        (77.5, "triad", "normal for GDDR7 (78-92 %)"),
        (77.4, "triad", "low for GDDR7 (78-92 %)"),
        (92.4, "copy", "normal for GDDR7 (78-92 %)"),
        (93.0, "copy", "above GDDR7 (78-92 %)"),
    ],
)
def test_the_words(percent: float, kernel: str, text: str) -> None:
    """Normal, low or above, judged on the whole percentage that is shown beside it."""
    assert verdict(percent, "GDDR7 ECC", False, kernel) == text


def test_the_named_systems_own_measurements_are_normal() -> None:
    """What was measured on a DGX Spark and an RTX PRO 5000 in good order is called normal."""
    assert (verdict(100 * 231 / 273, "LPDDR5X", True, "read") or "").startswith("normal")
    assert (verdict(100 * 1083 / 1344, "GDDR7 ECC", False, "copy") or "").startswith("normal")
    assert (verdict(100 * 161.31 / 273, "LPDDR5X", True, "read") or "").startswith("low")


@pytest.mark.parametrize(
    ("percent", "memory_type", "integrated"),
    [
        (None, "GDDR7", False),
        (80.0, None, None),
        (80.0, "GDDR5", False),
        (80.0, "LPDDR5", True),
        (80.0, "LPDDR5X", False),
    ],
)
def test_no_verdict_without_a_percentage_or_a_band(
    percent: float | None, memory_type: str | None, integrated: bool | None
) -> None:
    """A type with too few measurements, LPDDR outside an integrated GPU and pure reads of a CPU get no verdict."""
    assert verdict(percent, memory_type, integrated, "copy") is None
    assert verdict(80.0, "DDR5", None, "read") is None


@pytest.mark.parametrize(
    ("words", "peak", "text"),
    [
        ("normal for LPDDR5X (78-95 %)", 273.0, "normal for LPDDR5X, where 213-259 GB/s is normal"),
        ("low for DDR (61-86 %)", 89.6, "low for DDR, where 54.7-77.1 GB/s is normal"),
        (None, 273.0, ""),
        ("normal for LPDDR5X (78-95 %)", None, ""),
        ("words of a later version", 273.0, ""),
    ],
)
def test_a_verdict_in_gbs(words: str | None, peak: float | None, text: str) -> None:
    """The range is the verdict's percentages of the peak; without one of the two there are no words."""
    assert normal_gbs(words, peak) == text


@pytest.mark.parametrize(
    ("gbs", "text"),
    [
        (36.78, "below the DGX Spark (273 GB/s): 13 % of its published peak"),
        (
            546.0,
            "between the DGX Spark (273 GB/s) and the RTX PRO 5000 (1344 GB/s): 2 times the former's published peak",
        ),
        (9000.0, "above the DGX Station (8000 GB/s)"),
    ],
)
def test_the_place_among_the_named_systems(gbs: float, text: str) -> None:
    """A bandwidth is below all, between two, or above all of the published peaks."""
    assert place(gbs) == text


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        *((name, "read") for name in ("read", "dot", "gemv", "gemv_t", "kv")),
        ("write", "write"),
        *((name, "mixed") for name in ("copy", "scale", "add", "triad", "nstream", "adamw", "another version's")),
    ],
)
def test_the_class_of_a_kernel_follows_from_its_words(kernel: str, expected: str) -> None:
    """What only reads, what only writes, and the rest; a kernel of another version is of the rest."""
    assert kernel_class(kernel) == expected


@pytest.mark.parametrize(
    ("memory_type", "plain"), [("GDDR7 ECC", "GDDR7"), ("GDDR7 ECC on", "GDDR7"), ("HBM3", "HBM3"), ("", ""), (" ", "")]
)
def test_an_addition_to_the_memory_type_is_left_out(memory_type: str, plain: str) -> None:
    """The first word of a memory type is the type."""
    assert _plain_type(memory_type) == plain


def test_a_kernel_that_this_version_lacks_counts_as_mixed() -> None:
    """A file of another version may name any kernel."""
    assert kernel_class("no such kernel") == "mixed"
