"""A percentage is judged by bands that follow from the published measurements shipped with the package."""

import csv
import math
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.device.catalog import load_catalog
from bandmark.judge.bands import (
    FAMILIES,
    MARGIN_BELOW,
    NO_VERDICT,
    find_band,
    kernel_class,
    load_measurements,
    plain_type,
    verdict,
)

KERNELS = ("copy", "scale", "add", "triad", "nstream", "dot", "read", "write", "gemv", "gemv_t", "gemv_int4")
TYPES = sorted(FAMILIES)
ROWS = load_measurements()
CATALOG = {row.id: row for row in load_catalog()}

# The bands as they stand: a changed measurement changes them knowingly.
BANDS = {
    ("GDDR7", "read"): (78, 97, None),
    ("GDDR7", "triad"): (78, 92, "mixed"),
    ("GDDR6X", "copy"): (78, 92, "mixed"),
    ("GDDR6", "gemv"): (73, 98, None),
    ("GDDR6", "copy"): (73, 97, "mixed"),
    ("HBM2", "dot"): (79, 97, "read"),
    ("HBM3", "write"): (79, 100, "write"),
    ("HBM3e", "triad"): (73, 95, "mixed"),
    ("LPDDR5X", "gemv"): (78, 95, None),
}


def test_every_measurement_has_a_source_and_a_known_device() -> None:
    """Each shipped measurement names its source, a device of the catalogue and that device's memory."""
    assert len(ROWS) > 80
    for row in ROWS:
        assert row.source.strip() and "memory" not in row.source.split("; ")
        assert plain_type(CATALOG[row.device_id].memory_type) == row.memory_type
        assert CATALOG[row.device_id].published_gbs is not None
        assert 0 < row.percent_of_peak <= 100


def test_the_percentages_are_of_the_catalogues_peaks() -> None:
    """percent_of_peak is bandwidth over the published peak of data/devices.csv, to a tenth."""
    text = files("bandmark").joinpath("data", "measurements.csv").read_text(encoding="utf-8")
    for cells in csv.DictReader(text.splitlines()):
        peak = CATALOG[cells["device_id"]].published_gbs
        assert float(cells["peak_gbs"]) == peak
        assert float(cells["percent_of_peak"]) == pytest.approx(100 * float(cells["bandwidth_gbs"]) / peak, abs=0.06)


@pytest.mark.parametrize(("key", "band"), BANDS.items())
def test_the_bands_are_these(key: tuple[str, str], band: tuple[int, int, str | None]) -> None:
    """The bands that users see, written out, so that no change of the data goes unseen."""
    found = find_band(*key)
    assert found is not None and (found.low, found.high, found.kernels) == band


@pytest.mark.parametrize("memory_type", TYPES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_bands_follow_from_the_measurements_that_count(memory_type: str, kernel: str) -> None:
    """Lowest measured, rounded down, less the margin, to highest, rounded up; of 3 devices or the family."""
    family = [r for r in ROWS if FAMILIES[r.memory_type] == FAMILIES[memory_type] and not r.excluded]
    own = [r for r in family if kernel_class(r.kernel) == kernel_class(kernel)]
    used = own if len({r.device_id for r in own}) >= 3 else family
    band = find_band(memory_type, kernel)
    if len(used) < 3:
        assert band is None
        return
    assert band is not None
    percents = [r.percent_of_peak for r in used]
    assert band.low == math.floor(min(percents)) - MARGIN_BELOW
    assert band.high == min(100, math.ceil(max(percents)))
    assert list(band.measurements) == used


@given(
    percent=st.none() | st.floats(0, 400),
    memory_type=st.none() | st.sampled_from([*TYPES, "GDDR7 ECC", "DDR5", "GDDR5", ""]),
    integrated=st.none() | st.booleans(),
    kernel=st.sampled_from(KERNELS),
)
def test_every_verdict_fits_a_table(
    percent: float | None, memory_type: str | None, integrated: bool | None, kernel: str
) -> None:
    """At most 28 characters, and empty exactly when there is no verdict."""
    result = verdict(percent, memory_type, integrated, kernel)
    assert len(result.text) <= 28
    assert (result.level == "none") == (result.text == "") == (result.detail == "")


@pytest.mark.parametrize(
    ("percent", "kernel", "text", "level"),
    [
        (82.0, "read", "normal for GDDR7 (78-97 %)", "normal"),
        (82.0, "triad", "normal for GDDR7 (78-92 %)", "normal"),
        (77.5, "triad", "normal for GDDR7 (78-92 %)", "normal"),
        (77.4, "triad", "low for GDDR7 (78-92 %)", "low"),
        (92.4, "copy", "normal for GDDR7 (78-92 %)", "normal"),
        (93.0, "copy", "above GDDR7 (78-92 %)", "above"),
    ],
)
def test_the_words(percent: float, kernel: str, text: str, level: str) -> None:
    """Normal, low or above, judged on the whole percentage that is shown beside it."""
    result = verdict(percent, "GDDR7 ECC", False, kernel)
    assert (result.text, result.level) == (text, level)
    assert "published measurements of" in result.detail and "GDDR6X and GDDR7" in result.detail


def test_the_named_systems_own_measurements_are_normal() -> None:
    """What was measured on a DGX Spark and an RTX PRO 5000 in good order is called normal."""
    assert verdict(100 * 231 / 273, "LPDDR5X", True, "read").level == "normal"
    assert verdict(100 * 1083 / 1344, "GDDR7 ECC", False, "copy").level == "normal"
    assert verdict(100 * 161.31 / 273, "LPDDR5X", True, "read").level == "low"


@pytest.mark.parametrize(
    ("percent", "memory_type", "integrated"),
    [
        (None, "GDDR7", False),
        (80.0, None, None),
        (80.0, "DDR5", False),
        (80.0, "GDDR5", False),
        (80.0, "LPDDR5", True),
        (80.0, "LPDDR5X", False),
    ],
)
def test_no_verdict_without_a_percentage_or_a_band(
    percent: float | None, memory_type: str | None, integrated: bool | None
) -> None:
    """A CPU's DDR, a type with too few measurements and LPDDR outside an integrated GPU get no verdict."""
    assert verdict(percent, memory_type, integrated, "copy") == NO_VERDICT
