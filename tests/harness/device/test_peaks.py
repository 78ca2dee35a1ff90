"""A device gets its published peak, or none with a reason; never another device's."""

from __future__ import annotations

import csv
from dataclasses import replace
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.device.device import Device
from bandmark.device.peaks import (
    _SET_PEAK,
    CatalogRow,
    Peak,
    _derived_peak,
    find_peak,
    is_user_supplied,
    load_catalog,
    parse_peak,
    peak_warning,
)
from bandmark.errors import UsageError
from bandmark.judge.bands import REFERENCES

ROWS = load_catalog()
BY_ID = {row.id: row for row in ROWS}
DATA_RATES = {
    cells["id"]: float(cells["data_rate_gbps"] or 0)
    for cells in csv.DictReader(
        files("bandmark").joinpath("data", "devices.csv").read_text(encoding="utf-8").splitlines()
    )
}
# Memory as the devices report it where that is known, else the capacity in its own right.
REPORTED_BYTES = {
    "dgx-station-gb300": 269172604928,  # NVIDIA/NemoClaw#9901
    "gb300": 284208 << 20,  # nvidia-smi
    "b300": 274113 << 20,
    "b200": 182642 << 20,
}


def gpu(name: str, **facts: object) -> Device:
    return replace(Device(kind="gpu", name=name), **facts)  # type: ignore[arg-type]


def device_of(row: CatalogRow, name: str) -> Device:
    """A device that reports what this row says of it, as CUDA would."""
    capacity = float(row.capacity_gb.split("|")[0]) * (1 << 30)
    discrete = not row.integrated
    clock = DATA_RATES[row.id] * 500 if DATA_RATES[row.id] and discrete else None
    return Device(
        kind="gpu",
        name=name,
        memory_bytes=REPORTED_BYTES.get(row.id, int(capacity * 0.985)),
        bus_width_bits=row.bus_width_bits,
        memory_clock_mhz=clock,
        integrated=row.integrated,
    )


EVERY_NAME = [(row, name) for row in ROWS for name in row.names]


@pytest.mark.parametrize(("row", "name"), EVERY_NAME, ids=[f"{row.id}:{name}" for row, name in EVERY_NAME])
def test_every_name_gets_exactly_its_own_rows_peak(row: CatalogRow, name: str) -> None:
    """Each variant, reporting its own facts, gets its own figure and source, or none and a reason."""
    peak = find_peak(device_of(row, name))
    assert peak.device_id == row.id
    assert peak.gbs == row.published_gbs
    if row.published_gbs is None:
        assert peak.source == "" and peak.explanation.endswith(_SET_PEAK)
    else:
        assert peak.source == f"published: {row.source}"
        assert peak.memory_type == row.memory_type


NO_PEAK = [
    "B300",
    "NVIDIA B300",
    "NVIDIA GB300 NVL",
    "NVIDIA L4 SFF",
    "L4",
    "NVIDIA A100",
    "NVIDIA A10M",
    "NVIDIA H100",
    "NVIDIA H20-3e",
    "NVIDIA GeForce RTX 5090 Ti Laptop GPU",
    "NVIDIA GeForce RTX 5090 D v3",
    "NVIDIA RTX PRO 4000 Blackwell SFF",
    "NVIDIA RTX PRO 2000 Blackwell Generation Laptop GPU",
    "NVIDIA RTX PRO 5000 Blackwell Embedded GPU",
    "NVIDIA GeForce RTX 3080 Laptop GPU",
    "NVIDIA GeForce RTX 4070 Ti SUPER Founders",
    "NVIDIA RTX Spark",
    "AMD Instinct MI300X VF",
    "Apple M4 Max",
    "",
]


@pytest.mark.parametrize("name", NO_PEAK)
def test_unknown_names_get_no_peak(name: str) -> None:
    """A name outside the catalogue gets no figure, whichever catalogue name it contains or is part of."""
    peak = find_peak(gpu(name, memory_bytes=80 << 30, integrated=False))
    assert peak.gbs is None and peak.source == ""
    assert "--peak GBS" in peak.explanation


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        ("NVIDIA B300 SXM6 AC", "NVIDIA GB300"),
        ("NVIDIA L4", "NVIDIA L40S"),
        ("NVIDIA L4", "NVIDIA L40"),
        ("NVIDIA A10", "NVIDIA A10G"),
        ("NVIDIA A10", "NVIDIA A100-SXM4-80GB"),
        ("NVIDIA GeForce RTX 5090 D", "NVIDIA GeForce RTX 5090 D v2"),
        ("NVIDIA GeForce RTX 5090", "NVIDIA GeForce RTX 5090 D v2"),
        ("NVIDIA RTX PRO 4000 Blackwell", "NVIDIA RTX PRO 4000 Blackwell SFF Edition"),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "NVIDIA RTX PRO 6000 Blackwell Server Edition"),
        ("NVIDIA H200", "NVIDIA H200 NVL"),
    ],
)
def test_names_within_names_are_kept_apart(inner: str, outer: str) -> None:
    """Devices whose names contain each other get rows of their own."""
    one = find_peak(gpu(inner, memory_bytes=284208 << 20))
    other = find_peak(gpu(outer, memory_bytes=284208 << 20))
    assert one.device_id is not None and other.device_id is not None
    assert one.device_id != other.device_id


@pytest.mark.parametrize(
    ("device", "word"),
    [
        (gpu("NVIDIA A100-SXM4-40GB MIG 1g.5gb", integrated=False), "MIG"),
        (gpu("NVIDIA A100-SXM4-40GB", mig=True), "MIG"),
        (gpu("NVIDIA RTX PRO 5000 Blackwell MIG 1g.24gb"), "MIG"),
        (gpu("GRID A100-40C"), "virtual GPU"),
        (gpu("NVIDIA A40-48Q"), "virtual GPU"),
        (gpu("NVIDIA A100-4-20C"), "virtual GPU"),
        (gpu("GRID V100D-32Q"), "virtual GPU"),
        (gpu("NVIDIA GeForce RTX 3080 Laptop GPU"), "laptop"),
    ],
)
def test_shared_and_laptop_parts_get_no_peak_at_all(device: Device, word: str) -> None:
    """A slice, a virtual GPU and a laptop part get neither the full card's figure nor a wrong derived one."""
    peak = find_peak(replace(device, bus_width_bits=5120, memory_clock_mhz=1215.0))
    assert peak.gbs is None and peak.derived_gbs is None
    assert word in peak.explanation and peak.explanation.endswith(_SET_PEAK)


@pytest.mark.parametrize(
    ("name", "facts", "gbs"),
    [
        ("NVIDIA GB300", {"memory_bytes": 269172604928}, 7100),
        ("NVIDIA GB300", {"memory_bytes": 252 * 10**9}, 7100),
        ("NVIDIA GB300", {"memory_bytes": 284208 << 20}, 8000),
        ("NVIDIA GB300", {"memory_bytes": 288 * 10**9}, 8000),
        ("NVIDIA GB300", {}, None),
        ("NVIDIA GeForce RTX 3080", {"memory_bytes": 10 << 30}, 760),
        ("NVIDIA GeForce RTX 3080", {"memory_bytes": 12 << 30}, 912),
        ("NVIDIA GeForce RTX 3080", {"bus_width_bits": 320}, 760),
        ("NVIDIA GeForce RTX 3080", {"bus_width_bits": 384}, 912),
        ("NVIDIA GeForce RTX 3080", {"bus_width_bits": 384, "memory_bytes": 10 << 30}, None),
        ("NVIDIA GeForce RTX 3080", {"bus_width_bits": 256}, None),
        ("NVIDIA GeForce RTX 3080", {}, None),
        ("NVIDIA GeForce RTX 3080 Ti", {"memory_bytes": 12 << 30}, 912),
        ("NVIDIA GeForce RTX 3080 Ti", {"memory_bytes": 20 << 30, "bus_width_bits": 320}, 760),
        ("NVIDIA GeForce RTX 3060", {"memory_bytes": 12 << 30}, 360),
        ("NVIDIA GeForce RTX 3060", {"memory_bytes": 8 << 30}, 240),
        ("NVIDIA GeForce RTX 3060 Ti", {"max_memory_clock_mhz": 7001.0}, 448),
        ("NVIDIA GeForce RTX 3060 Ti", {"memory_clock_mhz": 9501.0}, 608),
        ("NVIDIA GeForce RTX 3060 Ti", {"memory_bytes": 8 << 30, "bus_width_bits": 256}, None),
        ("NVIDIA GeForce RTX 4070", {"max_memory_clock_mhz": 10501.0}, 504),
        ("NVIDIA GeForce RTX 4070", {"max_memory_clock_mhz": 10001.0}, 480),
        ("NVIDIA GeForce RTX 4070", {"max_memory_clock_mhz": 10001.0, "memory_clock_mhz": 10501.0}, 480),
        ("NVIDIA GeForce RTX 4070", {}, None),
        ("Orin", {"memory_bytes": 62 * 10**9, "integrated": True}, 204.8),
        ("Orin", {"memory_bytes": 30 * 10**9, "integrated": True}, 204.8),
        ("Orin (nvgpu)", {"memory_bytes": 16 * 10**9, "integrated": True}, 102.4),
        ("Orin", {"memory_bytes": 8 * 10**9, "integrated": True}, None),
        ("NVIDIA Thor", {"memory_bytes": 131 * 10**9, "integrated": True}, 273),
        ("NVIDIA Thor", {"memory_bytes": 64 * 10**9, "integrated": True}, None),
        ("NVIDIA GH200 480GB", {"memory_bytes": 97280 << 20}, 4000),
    ],
)
def test_shared_names_are_told_apart_by_facts_or_not_at_all(
    name: str, facts: dict[str, object], gbs: float | None
) -> None:
    """Variants of one name are separated by memory size, bus width or clock; else there is no peak."""
    peak = find_peak(gpu(name, **facts))
    assert peak.gbs == gbs
    assert (peak.gbs is None) == (_SET_PEAK in peak.explanation)


def test_an_ambiguous_device_names_its_candidates() -> None:
    """The reason lists what the device may be and what it reported."""
    text = find_peak(gpu("NVIDIA GB300")).explanation
    assert "7100 GB/s" in text and "8000 GB/s" in text and "nothing else" in text


def test_gb10_is_273_though_clock_times_bus_says_546() -> None:
    """On DGX Spark the driver's clock and bus give twice the truth: published 273, and no derived peak."""
    spark = gpu("NVIDIA GB10", memory_clock_mhz=8533.0, bus_width_bits=256, memory_bytes=128501256192)
    for integrated in (True, False, None):
        peak = find_peak(replace(spark, integrated=integrated))
        assert (peak.gbs, peak.derived_gbs, peak.device_id) == (273.0, None, "dgx-spark-gb10")
    assert _derived_peak(replace(spark, integrated=True), ()) is None
    assert _derived_peak(replace(spark, integrated=False), ()) == pytest.approx(546.1, abs=0.1)


@pytest.mark.parametrize(
    ("name", "clock", "bus", "derived", "published", "explained"),
    [
        ("NVIDIA GeForce RTX 5090", 14001.0, 512, 1792.1, 1792, False),
        ("NVIDIA H200", 3186.0, 6144, 4893.7, 4800, True),
        ("NVIDIA B200", 3996.0, 7680, 7672.3, 8000, True),
        ("NVIDIA GB200", 3996.0, 7936, 7928.1, 8000, False),
    ],
)
def test_published_wins_and_a_disagreement_is_explained(
    name: str, clock: float, bus: int, derived: float, published: float, explained: bool
) -> None:
    """Published and derived stand side by side, published is used, and more than 1 % apart is explained."""
    peak = find_peak(gpu(name, memory_clock_mhz=clock, bus_width_bits=bus, integrated=False))
    assert peak.gbs == published
    assert peak.derived_gbs == pytest.approx(derived, abs=0.05)
    assert ("Percentages divide by the published figure" in peak.explanation) == explained
    if explained:
        assert peak.device_id is not None and BY_ID[peak.device_id].note in peak.explanation


@pytest.mark.parametrize("unknown", [{"memory_clock_mhz": None}, {"bus_width_bits": 0}, {"integrated": None}])
def test_no_derived_peak_from_unknown_facts(unknown: dict[str, object]) -> None:
    """An unknown device has a derived peak only if clock and bus are known and it is known to be discrete."""
    card = gpu("Some new GPU", memory_clock_mhz=10000.0, bus_width_bits=256, integrated=False)
    assert find_peak(card).derived_gbs == 640.0
    assert find_peak(card).gbs is None
    assert find_peak(replace(card, **unknown)).derived_gbs is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "gbs", "source"),
    [
        ("76.8", 76.8, "user-supplied (--peak 76.8)"),
        (" 1344 ", 1344.0, "user-supplied (--peak 1344)"),
        ("2x5600", 89.6, "user-supplied (--peak 2x5600: 2 channels x 5600 MT/s x 8 bytes)"),
        ("12 X 4800", 460.8, "user-supplied (--peak 12 X 4800: 12 channels x 4800 MT/s x 8 bytes)"),
        (".5", 0.5, "user-supplied (--peak .5)"),
    ],
)
def test_a_user_supplied_peak(text: str, gbs: float, source: str) -> None:
    """--peak takes GB/s or channels x MT/s, and the source says so."""
    assert parse_peak(text) == (pytest.approx(gbs), source)
    assert is_user_supplied(source)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-5",
        "nan",
        "inf",
        "1e3",
        "76,8",
        "76.8 GB/s",
        "2x",
        "x5600",
        "0x5600",
        "2x0",
        "2x5600x8",
        "273e9",
        "2e9999",
        "273000000000",
        "9" * 400,
        "two",
        "2*5600",
        "\u0663",
    ],
)
def test_a_bad_peak_is_refused_with_what_is_accepted(text: str) -> None:
    """Anything else is a usage error that repeats what was given and shows both accepted forms."""
    with pytest.raises(UsageError) as caught:
        parse_peak(text)
    assert repr(text) in str(caught.value)
    assert "--peak 76.8" in str(caught.value) and "--peak 2x5600" in str(caught.value)


@given(st.text(max_size=12))
def test_parsing_a_peak_never_fails_otherwise(text: str) -> None:
    """Whatever the text: a positive number of GB/s or a UsageError."""
    try:
        gbs, source = parse_peak(text)
    except UsageError:
        return
    assert 0 < gbs <= 1e6 and source.startswith("user-supplied (--peak ")


@pytest.mark.parametrize(
    "device", [gpu("NVIDIA GB10"), gpu("NVIDIA H100"), gpu("GRID A100-40C"), Device(kind="cpu", name="x")]
)
def test_a_user_supplied_peak_wins_everywhere(device: Device) -> None:
    """--peak sets the peak of any device, says so, and drops the memory type that verdicts need."""
    peak = find_peak(device, override="301")
    assert (peak.gbs, peak.source, peak.memory_type) == (301.0, "user-supplied (--peak 301)", None)
    assert peak.derived_gbs == find_peak(device).derived_gbs
    with pytest.raises(UsageError):
        find_peak(device, override="lots")


@pytest.mark.parametrize(
    ("source", "supplied"),
    [
        ("set by hand (--peak 76.8)", True),
        ("user-supplied (--peak 76.8)", True),
        ("published: a datasheet", False),
        ("firmware: 2 channels x 5600 MT/s x 8 bytes (SMBIOS type 17)", False),
        ("", False),
        (None, False),
    ],
)
def test_the_source_shows_whether_the_user_supplied_it(source: str | None, supplied: bool) -> None:
    """The words of this version and of versions before 0.2.0 count, and no other source does."""
    assert is_user_supplied(source) == supplied


def reading(peak_gbs: float | None) -> Peak:
    return Peak(
        gbs=peak_gbs,
        source="firmware: 2 channels x 5600 MT/s x 8 bytes (SMBIOS type 17)" if peak_gbs else "",
        memory_type="DDR5",
        explanation="What the firmware says.",
    )


def test_a_cpus_peak_comes_from_the_firmware_or_not_at_all() -> None:
    """A CPU has no catalogue: its peak is the firmware's, and without one there is a reason."""
    cpu = Device(kind="cpu", name="NVIDIA GB10", bus_width_bits=256, memory_clock_mhz=8533.0)
    assert find_peak(cpu, firmware=reading(89.6)) == Peak(
        gbs=89.6,
        source="firmware: 2 channels x 5600 MT/s x 8 bytes (SMBIOS type 17)",
        derived_gbs=None,
        device_id=None,
        memory_type="DDR5",
        explanation="What the firmware says.",
    )
    assert (
        find_peak(cpu, override="2x5600").memory_type == "DDR" and find_peak(cpu, override="76.8").memory_type is None
    )
    unread = find_peak(cpu, firmware=reading(None))
    assert (unread.gbs, unread.source, unread.explanation) == (None, "", "What the firmware says.")
    assert find_peak(cpu).gbs is None and _SET_PEAK in find_peak(cpu).explanation


def test_the_three_named_systems() -> None:
    """The comparison columns, their order and their figures are fixed, and agree with the catalogue."""
    assert [(r.column, r.published_gbs) for r in REFERENCES] == [
        ("percent_of_dgx_spark", 273.0),
        ("percent_of_rtx_pro_5000", 1344.0),
        ("percent_of_dgx_station", 8000.0),
    ]
    assert BY_ID["dgx-spark-gb10"].published_gbs == 273
    assert BY_ID["rtx-pro-5000-blackwell-48"].published_gbs == BY_ID["rtx-pro-5000-blackwell-72"].published_gbs
    station = BY_ID["dgx-station-gb300"]
    assert station.published_gbs == 7100 and "8000" in station.note


GB10 = gpu("NVIDIA GB10", integrated=True, memory_bytes=128501256192)
UNKNOWN = "Set it with --peak GBS."
EXPLANATIONS = {
    "published": (GB10, None, "273 GB/s is published for DGX Spark and other GB10 systems."),
    "disagreeing": (
        gpu("NVIDIA GeForce RTX 5090", memory_clock_mhz=12000.0, bus_width_bits=512, integrated=False),
        None,
        "1792 GB/s is published for GeForce RTX 5090. Clock x bus gives 1536.0 GB/s (-14.3%). "
        "Percentages divide by the published figure.",
    ),
    "disagreeing, with a note": (
        gpu("NVIDIA B200", memory_clock_mhz=3996.0, bus_width_bits=7680, integrated=False, memory_bytes=182642 << 20),
        None,
        "8000 GB/s is published for B200 SXM 180GB. Clock x bus gives 7672.3 GB/s (-4.1%). "
        f"{BY_ID['b200'].note} Percentages divide by the published figure.",
    ),
    "several": (
        gpu("Orin", memory_clock_mhz=4000.0, max_memory_clock_mhz=5000.0, bus_width_bits=1),
        None,
        "'Orin' may be Jetson AGX Orin 32GB/64GB (204.8 GB/s); Jetson Orin NX 16GB (102.4 GB/s); Jetson Orin NX 8GB, "
        f"Orin Nano (no figure): what it reports (bus 1 bits, memory clock 5000 MHz) does not say which. {UNKNOWN}",
    ),
    "several, by memory": (
        gpu("NVIDIA GeForce RTX 4070", memory_bytes=12 << 30),
        None,
        "'NVIDIA GeForce RTX 4070' may be GeForce RTX 4070 (GDDR6X) (504 GB/s); GeForce RTX 4070 (GDDR6, 2024) "
        f"(480 GB/s): what it reports (memory 12884901888 bytes) does not say which. {UNKNOWN}",
    ),
    "several, nothing reported": (
        gpu("NVIDIA GB300"),
        None,
        "'NVIDIA GB300' may be DGX Station GB300 252GB (7100 GB/s); GB300 NVL72 288GB (8000 GB/s): "
        f"what it reports (nothing else) does not say which. {UNKNOWN}",
    ),
    "a laptop's": (
        gpu("New Laptop GPU"),
        None,
        "'New Laptop GPU' is a laptop part outside the catalogue, and its memory is not the desktop part's. " + UNKNOWN,
    ),
    "no safe figure": (
        gpu("NVIDIA RTX 5880 Ada Generation"),
        None,
        f"RTX 5880 Ada Generation has no published figure that is safe to use. {BY_ID['rtx-5880-ada'].note} {UNKNOWN}",
    ),
    "no firmware": (
        Device(kind="cpu", name="x"),
        None,
        f"The speed and channels of this system's memory were not read. {UNKNOWN}",
    ),
    "user-supplied": (Device(kind="cpu", name="x"), "76.8", "76.8 GB/s is user-supplied (--peak 76.8)."),
    "user-supplied over a published one": (
        GB10,
        "300",
        "300 GB/s is user-supplied (--peak 300). "
        "Without it: 273 GB/s is published for DGX Spark and other GB10 systems.",
    ),
}


@pytest.mark.parametrize(("device", "override", "text"), EXPLANATIONS.values(), ids=EXPLANATIONS)
def test_the_explanations_are_these(device: Device, override: str | None, text: str) -> None:
    """The sentences that say what a peak rests on, written out: they are what people act on."""
    assert find_peak(device, override).explanation == text


def test_a_row_without_a_safe_figure_still_says_what_the_device_is() -> None:
    """A device whose row has no figure keeps its row, its memory and what clock and bus give."""
    card = gpu("NVIDIA RTX 5880 Ada Generation", memory_clock_mhz=10000.0, bus_width_bits=384, integrated=None)
    peak = find_peak(card)
    assert (peak.gbs, peak.device_id, peak.memory_type, peak.derived_gbs) == (None, "rtx-5880-ada", "GDDR6 ECC", 960.0)


def test_facts_that_a_device_does_not_report_decide_nothing() -> None:
    """A row with limits fits a device only if the device reports one of the limited facts."""
    assert find_peak(gpu("NVIDIA GeForce RTX 3060")).device_id is None
    assert find_peak(gpu("NVIDIA GeForce RTX 3060", memory_bytes=12 << 30)).device_id == "rtx-3060-12"


@pytest.mark.parametrize(
    ("device", "given", "limit", "meant"),
    [(Device(kind="cpu", name="x"), "76800", "2000", "76.8"), (GB10, "273001", "25000", "273.001")],
)
def test_a_peak_in_the_wrong_unit_is_doubted(device: Device, given: str, limit: str, meant: str) -> None:
    """A user-supplied peak above that of any memory on sale is likely in MB/s, and the warning says what to give."""
    assert peak_warning(find_peak(device, given), device) == (
        f"--peak {float(given):g} is in GB/s, and no memory of a {device.kind.upper()} reaches {limit} GB/s. "
        f"If {float(given):g} MB/s is meant, give --peak {float(meant):g}."
    )


@pytest.mark.parametrize("override", ["1e9", "2000", None])
def test_a_possible_peak_is_not_doubted(override: str | None) -> None:
    """A user-supplied peak up to the limit is believed, and others are not the user's to mend."""
    cpu = Device(kind="cpu", name="x")
    if override == "1e9":
        assert peak_warning(Peak(gbs=1e9, source="published: a datasheet", explanation=""), cpu) is None
    else:
        assert peak_warning(find_peak(cpu, override), cpu) is None


def test_the_largest_peak_that_is_accepted() -> None:
    """A peak of 10^6 GB/s is the last that is a peak, and the message shows both forms."""
    assert parse_peak("1000000")[0] == 1e6
    with pytest.raises(UsageError) as refusal:
        parse_peak("1000001")
    assert str(refusal.value).endswith(
        "Give GB/s (10^9 bytes per second), as in --peak 76.8, or 64-bit channels x MT/s, as in --peak 2x5600."
    )
