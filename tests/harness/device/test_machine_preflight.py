"""What disturbs measurements on this machine is noted beforehand, with what to do; a quiet machine has no note."""

from __future__ import annotations

from typing import Any

import pytest

from bandmark.device.machine import preflight
from fakes import make_machine

CASES: list[tuple[dict[str, Any], bool, tuple[str, ...]]] = [
    ({"governor": "powersave"}, False, ("'powersave'", "cpupower frequency-set -g performance")),
    ({"load_1min": 1.6}, False, ("load average is 1.6 on 8 processors", "busy from 1.6", "stop them")),
    ({"is_wsl": True}, False, ("WSL2", "other programs on the GPU", "memory modules", ".wslconfig", "Windows")),
    ({"transparent_huge_pages": "never"}, True, ("huge pages are off", "transparent_hugepage/enabled")),
    ({"numa_nodes": 2}, True, ("2 NUMA nodes", "numactl --cpunodebind=0 --membind=0")),
    ({"cpu_usable": 4}, True, ("4 of 8 processors",)),
    ({"cpu_quota": 2.5}, True, ("2.5 processors' worth of time to 8 threads", "--threads 2")),
    ({"cpu_cores": "10 x Cortex-X925, 10 x Cortex-A725"}, True, ("unequal (10 x Cortex-X925,", "`taskset -c`")),
    ({"llc_note": "480 MiB are assumed"}, True, ("480 MiB are assumed",)),
]


@pytest.mark.parametrize("on_cpu", [True, False])
def test_a_quiet_machine_has_no_note(on_cpu: bool) -> None:
    """Where nothing stands out nothing is said."""
    assert preflight(make_machine(), on_cpu=on_cpu) == []


@pytest.mark.parametrize(("changes", "cpu_only", "words"), CASES, ids=[next(iter(c)) for c, _, _ in CASES])
def test_each_note(changes: dict[str, Any], cpu_only: bool, words: tuple[str, ...]) -> None:
    """Each trouble gets one note with its numbers and a remedy; what concerns the CPU alone is said there alone."""
    (note,) = preflight(make_machine(**changes), on_cpu=True)
    for word in words:
        assert word in note
    assert len(preflight(make_machine(**changes), on_cpu=False)) == (0 if cpu_only else 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"governor": None},
        {"load_1min": None},
        {"load_1min": 1.59},
        {"transparent_huge_pages": None},
        {"transparent_huge_pages": "always"},
        {"numa_nodes": None},
        {"numa_nodes": 1},
    ],
    ids=str,
)
def test_what_is_unknown_or_harmless_is_not_noted(changes: dict[str, Any]) -> None:
    """A fact that could not be read is no trouble, nor is one below its threshold."""
    assert preflight(make_machine(**changes), on_cpu=True) == []


@pytest.mark.parametrize(("value", "noted"), [("1", True), ("0", False), ("", False)])
def test_launches_that_block_are_noted(value: str, noted: bool) -> None:
    """CUDA_LAUNCH_BLOCKING adds the cost of launching to every sample on a GPU, unless it is 0."""
    machine = make_machine(environment={"CUDA_LAUNCH_BLOCKING": value})
    notes = preflight(machine, on_cpu=False)
    assert bool(notes) == noted and all("unset CUDA_LAUNCH_BLOCKING" in note for note in notes)
    assert preflight(machine, on_cpu=True) == []


def test_a_quota_counts_against_the_threads_that_work() -> None:
    """A container's share of the processors is too small for the threads of this run, not for those it might have."""
    machine = make_machine(cpu_quota=2.5)
    assert preflight(machine, on_cpu=True, threads=2) == []
    (note,) = preflight(machine, on_cpu=True, threads=3)
    assert "2.5 processors' worth of time to 3 threads" in note


def test_all_troubles_are_told() -> None:
    """Several troubles give several notes."""
    changes = {name: value for case, _, _ in CASES for name, value in case.items()}
    assert len(preflight(make_machine(**changes), on_cpu=True)) == len(CASES)
