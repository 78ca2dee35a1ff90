"""A fleet is judged in groups of equal devices: who is slow, who differs, who is missing, who changed."""

from __future__ import annotations

from typing import Any

import pytest

from bandmark.fleet.summary import Fleet, judge
from bandmark.judge.expectations import Expectation, Hardware
from bandmark.session.ranks import Member, Ticket
from fleets import CASE, HARDWARE, figure, member


def rows(fleet: Fleet, name: str) -> list[dict[str, Any]]:
    """The rows of a section, by column."""
    (section,) = [section for section in fleet.sections if section.name == name]
    return [dict(zip(section.header, row, strict=True)) for row in section.rows]


def test_a_slow_device_is_named() -> None:
    """It is an outlier with its distance, its node is to be left out, and the exit code is 1; without it 0."""
    healthy = [member(number) for number in range(20)]
    assert (judge(healthy).exit_code, judge(healthy).exclude) == (0, [])
    fleet = judge([*healthy, member(99, 200.0)])
    (row,) = rows(fleet, "outliers")
    assert row["member"] == "node99 rank 99" and row["percent_of_median"] == pytest.approx(-13, abs=0.5)
    assert row["reason"].startswith("limit by the spread of the group") and fleet.exclude == ["node99"]
    assert fleet.exit_code == 1


def test_groups_are_of_equal_hardware() -> None:
    """Another driver, memory or power limit is another group, which does not make its members outliers."""
    other = Hardware(device=HARDWARE.device, memory_gib=119, driver="581.0")
    fleet = judge([*map(member, range(10)), *(member(n, 150.0, hardware=other) for n in range(10, 20))])
    assert rows(fleet, "outliers") == []
    assert len(rows(fleet, "distribution")) == 2


def test_small_groups_are_judged_by_expectation_alone() -> None:
    """Under five devices the spread says nothing: without expectation the exit code is 3, with one it decides."""
    members = [member(0), member(1), member(2, 100.0)]
    assert judge(members).exit_code == 3
    expectation = Expectation(hardware=Hardware(device=HARDWARE.device), limits={CASE: 220.0})
    fleet = judge(members, [expectation])
    assert [row["member"] for row in rows(fleet, "outliers")] == ["node2 rank 2"]
    assert not fleet.observed


def test_a_low_band_counts_however_alike_the_devices_are() -> None:
    """A group that is slow as a whole is found by the published band of its memory."""
    low = {CASE: figure(100.0, verdict="low for LPDDR5X (70-90 %)")}
    fleet = judge([member(number, figures=low) for number in range(6)])
    assert [row["reason"] for row in rows(fleet, "outliers")] == ["low for LPDDR5X (70-90 %)"] * 6


def test_times_are_judged_the_other_way() -> None:
    """Where lower is better the outlier is the one above."""
    times = [figure(x, unit="ns", higher_is_better=False) for x in (100, 101, 99, 100, 102, 70, 150)]
    fleet = judge([member(number, figures={CASE: f}) for number, f in enumerate(times)])
    assert [row["value"] for row in rows(fleet, "outliers")] == [150]


def test_wrong_results_are_named() -> None:
    """A case that failed verification is reported, whatever its speed."""
    wrong = {CASE: figure(None, status="failed_verification", reason="the output is wrong by 9 times the tolerance")}
    fleet = judge([*map(member, range(6)), member(6, figures=wrong)])
    assert [row["reason"] for row in rows(fleet, "outliers")] == ["the output is wrong by 9 times the tolerance"]


def test_two_speeds_are_named_with_what_differs() -> None:
    """Of a group of two halves both are named, and the facts that tell them apart; others are not."""
    slow = [member(n, 150.0, facts={"bios": "5.35", "kernel": "6.14"}) for n in range(12)]
    fleet = judge([*slow, *map(member, range(12, 24))])
    (row,) = rows(fleet, "two_speeds")
    assert (row["slower_devices"], row["faster_devices"]) == (12, 12)
    assert row["slower"] < 160 < row["faster"] and row["what_differs"] == "bios: slower 5.35, faster 5.36"
    assert fleet.exit_code == 1
    alike = judge([*(member(n, 150.0) for n in range(12)), *map(member, range(12, 24))])
    assert rows(alike, "two_speeds")[0]["what_differs"] == "nothing that is recorded"


def test_two_speeds_of_times() -> None:
    """Where lower is better the slower half is the one with the longer times."""
    times = [figure(100.0 + n % 3 + 50 * (n < 11), unit="ns", higher_is_better=False) for n in range(22)]
    (row,) = rows(judge([member(n, figures={CASE: f}) for n, f in enumerate(times)]), "two_speeds")
    assert row["slower"] > 150 > row["faster"]


def test_drift_of_the_stack() -> None:
    """Each value that is not the majority's is named with its members; devices of another name are not compared."""
    other = member(50, hardware=Hardware(device="NVIDIA H100"), facts={"bios": "1.0"})
    fleet = judge([*map(member, range(9)), member(9, facts={"bios": "5.35", "kernel": "6.14"}), other])
    assert rows(fleet, "drift") == [
        {"device": "NVIDIA GB10", "key": "bios", "majority": "5.36", "share_percent": 90.0, "value": "5.35"}
        | {"members": "node9 rank 9"}
    ]
    assert fleet.exit_code == 0


def test_missing_ranks_and_nodes() -> None:
    """Ranks of the newest launch that left nothing, members with a problem, and nodes that were named are missing."""
    present = [member(number, world=6) for number in range(4)]
    started = Member(ticket=Ticket(node="node4", rank=4, world=6, job="job1"), run_id="20261101T2", problem="no result")
    fleet = judge([*present, started], nodes=["node0", "node77"])
    assert [(row["member"], row["reason"]) for row in rows(fleet, "missing")] == [
        ("node4 rank 4", "no result"),
        ("rank 5", "it left nothing"),
        ("node77", "no result"),
    ]
    assert fleet.exclude == ["node4", "node77"] and fleet.exit_code == 1


def test_ranks_that_share_a_device_all_count() -> None:
    """Ranks of one launch on one device are no history of each other."""
    shared = [Member(ticket=Ticket(node="n", rank=r, world=3, device_id="d"), run_id=str(r)) for r in range(3)]
    fleet = judge([*shared])
    assert fleet.members == 3 and rows(fleet, "missing") == []


def test_earlier_runs_show_the_trend_and_nothing_else() -> None:
    """The newest result of a device counts; against its earlier ones a change of 3 % and more is listed."""
    history = [member(n, run=run) for n in range(6) for run in (1, 2)]
    fleet = judge([*history, *(member(n, 224.0 if n else 160.0, run=3) for n in range(6))])
    (trend,) = rows(fleet, "trend")
    assert trend["member"] == "node0 rank 0" and trend["earlier_runs"] == 2
    assert trend["change_percent"] == pytest.approx(-30.4, abs=0.1)
    assert fleet.members == 6 and rows(fleet, "distribution")[0]["devices"] == 6


def test_of_a_machine_without_a_launcher_the_newest_run_counts() -> None:
    """Nightly checks of one machine have no rank and no job, and are a history all the same."""
    nightly = [member(0, 230.0 + run, run=run, job=None, rank=None) for run in range(1, 8)]
    fleet = judge(nightly)
    (row,) = rows(fleet, "distribution")
    assert fleet.members == row["devices"] == 1 and row["median"] > 236


def test_a_failure_before_a_newer_result_is_forgotten() -> None:
    """A run that left no result does not count once its device has a newer one."""
    killed = Member(ticket=Ticket(node="node0", device_id=f"{0:012x}"), run_id="20261101T0", problem="no result")
    assert rows(judge([killed, member(0, run=2, job=None, rank=None)]), "missing") == []
