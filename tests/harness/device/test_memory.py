"""The memory that a run may use, from pretend /proc and /sys trees: never more than is available."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bandmark.device import memory
from bandmark.device.memory import available_bytes, device_budget, host_budget, total_bytes, unified_budget
from system_files import write

GIB = 2**30
MIB = 2**20
UNLIMITED_V1 = 9223372036854771712


def meminfo(total: int, available: int) -> str:
    """The lines of /proc/meminfo that matter, between others."""
    return (
        f"MemTotal:       {total // 1024} kB\nMemFree:          12345 kB\n"
        f"MemAvailable:   {available // 1024} kB\nHugePages_Total:       0\n"
    )


HOST = {"proc/meminfo": meminfo(64 * GIB, 48 * GIB)}


def test_available_is_what_the_kernel_says(tmp_path: Path) -> None:
    """Without control groups the answer is MemAvailable, not MemFree and not MemTotal."""
    root = write(tmp_path, HOST)
    assert available_bytes(root) == 48 * GIB
    assert total_bytes(root) == 64 * GIB


def test_a_limit_of_version_2_counts(tmp_path: Path) -> None:
    """A container's limit less what it uses; page cache that can be dropped is not used."""
    root = write(
        tmp_path,
        HOST
        | {
            "proc/self/cgroup": "0::/box\n",
            "sys/fs/cgroup/box/memory.max": f"{8 * GIB}\n",
            "sys/fs/cgroup/box/memory.current": f"{3 * GIB}\n",
            "sys/fs/cgroup/box/memory.stat": f"anon {2 * GIB}\nfile {GIB}\ninactive_file {GIB}\nactive_file 0\n",
        },
    )
    assert available_bytes(root) == 6 * GIB


def test_no_limit_of_version_2(tmp_path: Path) -> None:
    """`max` is no limit."""
    root = write(
        tmp_path,
        HOST
        | {
            "proc/self/cgroup": "0::/box\n",
            "sys/fs/cgroup/box/memory.max": "max\n",
            "sys/fs/cgroup/box/memory.current": f"{3 * GIB}\n",
        },
    )
    assert available_bytes(root) == 48 * GIB


@pytest.mark.parametrize(
    "tight", ["sys/fs/cgroup/outer", "sys/fs/cgroup/outer/middle", "sys/fs/cgroup/outer/middle/own"]
)
def test_the_tightest_of_nested_limits_counts(tmp_path: Path, tight: str) -> None:
    """Whichever folder on the way up leaves least decides."""
    folders = ("sys/fs/cgroup/outer", "sys/fs/cgroup/outer/middle", "sys/fs/cgroup/outer/middle/own")
    files = {f"{folder}/memory.max": f"{(2 if folder == tight else 20) * GIB}" for folder in folders}
    root = write(tmp_path, HOST | files | {"proc/self/cgroup": "0::/outer/middle/own\n"})
    assert available_bytes(root) == 2 * GIB


def test_a_container_that_sees_its_own_group_at_the_top(tmp_path: Path) -> None:
    """Inside a container's namespace the group is /, and the limit stands at the top of the tree."""
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": f"{GIB}", "sys/fs/cgroup/memory.current": "0"}
    assert available_bytes(write(tmp_path, HOST | files)) == GIB


def test_a_limit_of_version_1_counts(tmp_path: Path) -> None:
    """Version 1 has a folder per controller and other names for the same numbers."""
    root = write(
        tmp_path,
        HOST
        | {
            "proc/self/cgroup": "12:pids:/box\n11:cpu,cpuacct:/box\n5:memory:/box\n1:name=systemd:/box\n",
            "sys/fs/cgroup/memory/box/memory.limit_in_bytes": f"{4 * GIB}",
            "sys/fs/cgroup/memory/box/memory.usage_in_bytes": f"{3 * GIB}",
            "sys/fs/cgroup/memory/box/memory.stat": f"cache {GIB}\ntotal_inactive_file {GIB // 2}\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{UNLIMITED_V1}",
        },
    )
    assert available_bytes(root) == GIB + GIB // 2


def test_version_1_in_a_container_whose_path_is_not_visible(tmp_path: Path) -> None:
    """Docker with version 1 names the host's path, but mounts the container's own group at the top."""
    root = write(
        tmp_path,
        HOST
        | {
            "proc/self/cgroup": "5:memory:/docker/0123abcd\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2 * GIB}",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{GIB}",
        },
    )
    assert available_bytes(root) == GIB


def test_no_limit_of_version_1(tmp_path: Path) -> None:
    """Version 1 writes "no limit" as a number near 2^63."""
    root = write(
        tmp_path,
        HOST
        | {
            "proc/self/cgroup": "5:memory:/box\n",
            "sys/fs/cgroup/memory/box/memory.limit_in_bytes": f"{UNLIMITED_V1}",
        },
    )
    assert available_bytes(root) == 48 * GIB


def test_a_group_that_uses_more_than_its_limit_leaves_nothing(tmp_path: Path) -> None:
    """Available memory is never negative."""
    root = write(
        tmp_path,
        HOST
        | {
            "proc/self/cgroup": "0::/box\n",
            "sys/fs/cgroup/box/memory.max": f"{GIB}",
            "sys/fs/cgroup/box/memory.current": f"{2 * GIB}",
        },
    )
    assert available_bytes(root) == 0


def test_a_group_can_not_have_more_than_the_system(tmp_path: Path) -> None:
    """A limit above what is available gives nothing away."""
    files = {"proc/self/cgroup": "0::/box\n", "sys/fs/cgroup/box/memory.max": f"{60 * GIB}"}
    assert available_bytes(write(tmp_path, HOST | files)) == 48 * GIB


def test_without_proc_half_of_the_physical_memory_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a system without /proc (macOS) half of the memory is taken to be available."""
    monkeypatch.setattr(memory, "_physical_bytes", lambda: 16 * GIB)
    assert available_bytes(tmp_path) == 8 * GIB
    assert total_bytes(tmp_path) == 16 * GIB


@pytest.mark.parametrize("limits", [("max", f"{2 * GIB}"), (f"{8 * GIB}", f"{2 * GIB}"), (f"{2 * GIB}", "max")])
def test_memory_high_is_a_limit(tmp_path: Path, limits: tuple[str, str]) -> None:
    """Above memory.high the kernel slows a group down, so the lower of it and memory.max counts."""
    files = {f"sys/fs/cgroup/box/{n}": v for n, v in zip(("memory.max", "memory.high"), limits, strict=True)}
    root = write(tmp_path, HOST | files | {"proc/self/cgroup": "0::/box/own\n"})
    assert available_bytes(root) == 2 * GIB


def test_a_limit_of_zero_is_a_limit(tmp_path: Path) -> None:
    """A group that may have nothing has nothing."""
    files = {"proc/self/cgroup": "0::/box\n", "sys/fs/cgroup/box/memory.max": "0\n"}
    assert available_bytes(write(tmp_path, HOST | files)) == 0


@pytest.mark.parametrize("hierarchy", ["cpu,memory", "memory"])
def test_a_hierarchy_of_several_controllers(tmp_path: Path, hierarchy: str) -> None:
    """Version 1 may mount several controllers together, in a folder named after all of them or after one."""
    limit = {f"sys/fs/cgroup/{hierarchy}/box/memory.limit_in_bytes": f"{2 * GIB}"}
    root = write(tmp_path, HOST | limit | {"proc/self/cgroup": "3:cpu,memory:/box/own\n0::/other\n"})
    assert available_bytes(root) == 2 * GIB


def test_available_memory_of_zero_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of zeros says nothing, and half of the physical memory counts."""
    monkeypatch.setattr(memory, "_physical_bytes", lambda: 16 * GIB)
    root = write(tmp_path, {"proc/meminfo": meminfo(0, 0)})
    assert available_bytes(root) == 8 * GIB and total_bytes(root) == 16 * GIB


@pytest.mark.parametrize("error", [OSError, ValueError, AttributeError])
def test_physical_memory_that_can_not_be_read(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    """A system that has no such number, or refuses it, has unknown memory, and -1 is no number of pages."""
    monkeypatch.setattr(os, "sysconf", lambda name: -1)
    assert memory._physical_bytes() == 0

    def fail(name: str) -> int:
        raise error(name)

    monkeypatch.setattr(os, "sysconf", fail)
    assert memory._physical_bytes() == 0


TEXTS = st.one_of(
    st.text(max_size=60), st.sampled_from(["max", "-1", "9" * 5000, "MemAvailable: x kB", "inactive_file"])
)
FILES = (
    "proc/meminfo",
    "proc/self/cgroup",
    *(f"sys/fs/cgroup/{n}" for n in ("memory.max", "memory.high", "memory.stat")),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(TEXTS, min_size=len(FILES), max_size=len(FILES)), st.booleans())
def test_no_file_makes_reading_fail(tmp_path: Path, texts: list[str], is_top: bool) -> None:
    """Whatever stands in the files, available and total memory are numbers, and the former is not negative."""
    files = dict(zip(FILES, texts, strict=True)) | ({"proc/self/cgroup": "0::/"} if is_top else {})
    root = write(tmp_path, files)
    assert available_bytes(root) >= 0
    assert total_bytes(root) is None or (total_bytes(root) or 0) > 0


def test_the_physical_memory_of_this_machine() -> None:
    """What sysconf says is what /proc/meminfo says, where there is both (within what firmware keeps)."""
    assert memory._physical_bytes() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < available_bytes() <= (total_bytes() or 0)


@given(st.integers(0, 2**44))
def test_no_budget_exceeds_what_is_available(available: int) -> None:
    """Whatever the memory, a case takes less than all of it, unasked and asked."""
    for budget in (host_budget(available), unified_budget(available), device_budget(available)):
        assert 0 <= budget.default_bytes <= budget.limit_bytes <= available
        assert available == 0 or budget.limit_bytes < available


@pytest.mark.parametrize(
    ("available", "default", "limit"), [(8 * GIB, 2 * GIB, 4 * GIB), (64 * GIB, 4 * GIB, 32 * GIB)]
)
def test_the_budget_of_a_cpu(available: int, default: int, limit: int) -> None:
    """A quarter of the available memory and at most 4 GiB unasked; half of it when asked."""
    budget = host_budget(available)
    assert (budget.default_bytes, budget.limit_bytes) == (default, limit)


@pytest.mark.parametrize(("available", "most"), [(8 * GIB, 2 * GIB), (16 * GIB, 4 * GIB), (119 * GIB, 4 * GIB)])
def test_the_budget_of_unified_memory(available: int, most: int) -> None:
    """A quarter and at most 4 GiB, asked or not: running out of it freezes a DGX Spark."""
    budget = unified_budget(available)
    assert budget.default_bytes == budget.limit_bytes == most
    assert "freezes" in budget.explanation
    assert unified_budget(available, GIB).limit_bytes == GIB // 4
    assert unified_budget(available, 2**50) == budget


def test_the_budget_of_a_discrete_device() -> None:
    """Four fifths of what is free on the device."""
    budget = device_budget(10 * GIB)
    assert budget.default_bytes == budget.limit_bytes == 8 * GIB
    assert "10 GiB" in budget.explanation
