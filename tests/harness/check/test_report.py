"""A check is a line of 80 characters, JSON, and gauges that Prometheus reads."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.check.check import DeviceCheck, Reason
from bandmark.check.faults import load_faults
from bandmark.check.report import _MAX_LINE, as_json, details, line, overall, prometheus
from fleets import CASE, figure

OK = DeviceCheck(address="cuda:0", device="NVIDIA GB10", figures={CASE: figure(220.0)}, limits={CASE: 200.0})


def checked(*reasons: Reason, address: str = "cuda:1") -> DeviceCheck:
    """A check with reasons."""
    return DeviceCheck(address=address, device="x", reasons=[*reasons])


def test_the_worst_reason_comes_first() -> None:
    """What is below goes before what is unknown, a wrong result before a slow one, and the rest is counted."""
    unknown, slow = Reason(exit_code=3, text="busy", weight=9), Reason(exit_code=1, text="slow", weight=0.2)
    wrong = Reason(exit_code=1, text="wrong", weight=3)
    checks = [OK, checked(unknown, slow), checked(wrong, address="cuda:2")]
    assert overall(checks) == 1 and line(checks) == "below: cuda:2 wrong; 2 more"
    assert overall([OK, checked(unknown)]) == 3 and line([OK, checked(unknown)]) == "unknown: cuda:1 busy"
    assert overall([OK]) == 0 and line([OK]) == "ok: cuda:0 cupy gemv float32 220"


@given(st.lists(st.tuples(st.sampled_from([1, 3]), st.text()), max_size=4))
def test_the_line_fits(reasons: list[tuple[int, str]]) -> None:
    """Whatever the reasons hold, the line has at most 80 characters, each of which can be printed."""
    text = line([OK, checked(*(Reason(exit_code=code, text=why) for code, why in reasons))])
    assert len(text) <= _MAX_LINE and text.isprintable()


def test_details_say_what_to_do() -> None:
    """Each known fault has its sentence behind the reasons."""
    faulty = checked(Reason(exit_code=1, text="row remapping failed"))
    faulty.faults = [load_faults()[0]]
    assert list(details([faulty]))[-1] == f"cuda:1 {faulty.faults[0].name}: {faulty.faults[0].remedy}"


def test_json_has_it_all() -> None:
    """The JSON can be written as such, and holds figures, limits and exit codes of each device."""
    content = json.loads(json.dumps(as_json([OK]), allow_nan=False))
    assert content["status"] == "ok" and content["exit_code"] == 0
    assert content["devices"][0]["figures"][CASE]["value"] == 220.0
    assert content["devices"][0]["limits"] == {CASE: 200.0}


@given(name=st.text(st.characters(blacklist_categories=("Cs", "Cc"))), value=st.floats(1e-3, 1e5))
def test_prometheus_reads_what_is_written(name: str, value: float) -> None:
    """Its own parser gives names and figures back, whatever the device is called; there is no timestamp."""
    parser = pytest.importorskip("prometheus_client.parser")
    device = f'{name}"\\\n'
    check = DeviceCheck(
        address="cuda:0",
        device=device,
        figures={CASE: figure(value), "other": figure(3.0, unit="ns", higher_is_better=False)},
        limits={CASE: 200.0},
        facts={"ecc_uncorrected": 2},
        reasons=[Reason(exit_code=1, text="slow")],
    )
    samples = [s for family in parser.text_string_to_metric_families(prometheus([check])) for s in family.samples]
    by_name = {sample.name: sample for sample in samples}
    assert by_name["bandmark_check_status"].value == 1
    bandwidth = by_name["bandmark_bandwidth_bytes_per_second"]
    assert bandwidth.value == pytest.approx(value * 1e9) and bandwidth.timestamp is None
    assert bandwidth.labels == {"address": "cuda:0", "device": device, "case": CASE}
    assert by_name["bandmark_bandwidth_limit_bytes_per_second"].value == 200e9
    assert by_name["bandmark_ecc_uncorrected"].value == 2 and len(samples) == 4
