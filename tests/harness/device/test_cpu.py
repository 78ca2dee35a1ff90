"""The facts of the processors, from pretend /proc and /sys trees; what can't be read is unknown, never zero."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bandmark.device import cpu as cpu_module
from bandmark.device.cpu import (
    CpuUse,
    cpu_count,
    cpu_model_name,
    cpu_quota,
    others_share,
    read_caches,
    read_cpu_use,
    unequal_cores,
)
from system_files import cache, write

MIB = 2**20

X86 = """\
processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC 9654: 96-Core Processor
cache size\t: 1024 KB
power management:

processor\t: 1
model name\t: AMD EPYC 9654: 96-Core Processor
power management:
"""

ARM = """\
processor\t: 0
BogoMIPS\t: 2000.00
Features\t: fp asimd
CPU implementer\t: 0x41
CPU architecture: 8
CPU part\t: 0xd85
"""


NAMES = {
    "x86": (X86, "AMD EPYC 9654: 96-Core Processor"),
    "Arm": (ARM, "Cortex-X925"),
    "another maker's Arm": ("CPU implementer\t: 0x70\nCPU part\t: 0x662\n", "Phytium part 0x662"),
    "a part of an unknown maker": ("CPU implementer\t: 0x99\nCPU part\t: 0xd85\n", "Arm implementer 0x99 part 0xd85"),
    "Apple in a virtual machine": ("CPU implementer\t: 0x61\nCPU part\t: 0x000\n", "Apple part 0x000"),
    "LoongArch": ("system type\t: generic\n\nprocessor\t: 0\nModel Name\t: Loongson-3C6000/D\n", "Loongson-3C6000/D"),
    "GB10": (
        "\n\n".join([ARM.replace("0xd85", "0xd87"), ARM, ARM, ARM.replace("0xd85", "0xd87"), ARM]),
        "Cortex-X925 (3) + Cortex-A725 (2)",
    ),
}


@pytest.mark.parametrize(("text", "name"), NAMES.values(), ids=NAMES.keys())
def test_each_architecture_has_a_model_name(tmp_path: Path, text: str, name: str) -> None:
    """The model name is taken whole, Arm's numbers are named, and unequal cores stand side by side."""
    assert cpu_model_name(write(tmp_path, {"proc/cpuinfo": text})) == name


@pytest.mark.parametrize("text", [None, "", "nothing here\n", ":::\n", "CPU part\t: nonsense\n"])
def test_a_processor_without_cpuinfo_has_some_name(tmp_path: Path, text: str | None) -> None:
    """Without the file, or with an empty one, the architecture stands for the name; it is never empty."""
    root = tmp_path if text is None else write(tmp_path, {"proc/cpuinfo": text})
    assert cpu_model_name(root)


def test_a_name_is_short_and_printable(tmp_path: Path) -> None:
    """Control characters and endless names do not get into result files."""
    name = cpu_model_name(write(tmp_path, {"proc/cpuinfo": "model name\t: A\x1b[31m CPU" + "x" * 500 + "\n"}))
    assert name.isprintable() and len(name) == 120 and name.startswith("A[31m CPU")


def test_unequal_cores_are_named(tmp_path: Path) -> None:
    """Arm's kinds of cores come from their numbers, Intel's from the folders of perf, others from their capacity."""
    arm = write(tmp_path / "arm", {"proc/cpuinfo": NAMES["GB10"][0]})
    assert unequal_cores(arm) == "3 x Cortex-X925, 2 x Cortex-A725"
    intel = {"sys/devices/cpu_core/cpus": "0-11\n", "sys/devices/cpu_atom/cpus": "12-19\n"}
    assert unequal_cores(write(tmp_path / "intel", {"proc/cpuinfo": X86, **intel})) == "12 x P-core, 8 x E-core"
    other = {f"sys/devices/system/cpu/cpu{i}/cpu_capacity": f"{c}\n" for i, c in enumerate((1024, 1024, 700))}
    other["sys/devices/system/cpu/online"] = "0-2\n"
    assert unequal_cores(write(tmp_path / "other", other)) == "2 x capacity 1024, 1 x capacity 700"


def test_equal_cores_are_not_named(tmp_path: Path) -> None:
    """Cores of one kind, or of a kind that can't be read, give no note."""
    assert unequal_cores(tmp_path) is None
    alike = {f"sys/devices/system/cpu/cpu{i}/cpu_capacity": "1024\n" for i in range(2)}
    alike["sys/devices/system/cpu/online"] = "0-1\n"
    assert unequal_cores(write(tmp_path, {"proc/cpuinfo": X86, "sys/devices/cpu_core/cpus": "0-1", **alike})) is None


def test_the_count_is_the_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's list of processors counts, else the OS's number; PYTHON_CPU_COUNT changes neither."""
    monkeypatch.setattr(os, "cpu_count", lambda: 1000)
    assert cpu_count(write(tmp_path / "a", {"sys/devices/system/cpu/online": "0-3,8,10-11\n"})) == 7
    assert cpu_count(tmp_path / "b") == os.sysconf("SC_NPROCESSORS_ONLN") < 1000
    monkeypatch.delattr(os, "sysconf")
    assert cpu_count(tmp_path / "b") == 1000


def test_caches_that_threads_of_a_core_share_count_once(tmp_path: Path) -> None:
    """Two hyperthreads list the same cache; instruction caches are no room for data."""
    files: dict[str, str] = {}
    for cpu, shared in ((0, "0,2"), (1, "1,3"), (2, "0,2"), (3, "1,3")):
        files |= cache(cpu, 0, 1, "48K", shared, "Data") | cache(cpu, 1, 1, "32K", shared, "Instruction")
        files |= cache(cpu, 2, 2, "2048K", shared) | cache(cpu, 3, 3, "30720K", "0-3")
    root = write(tmp_path, files)
    assert read_caches(root, [0, 1, 2, 3]) == ({1: 96 << 10, 2: 4 << 20, 3: 30 << 20}, None)


def test_several_last_level_caches_add_up(tmp_path: Path) -> None:
    """Every cluster or socket that the process may use adds its own last-level cache."""
    files: dict[str, str] = {}
    for cpu in range(8):
        files |= cache(cpu, 3, 3, "32768K", "0-3" if cpu < 4 else "4-7")
    root = write(tmp_path, files)
    assert read_caches(root, list(range(8))) == ({3: 64 << 20}, None)
    assert read_caches(root, [5]) == ({3: 32 << 20}, None)


def test_a_cache_without_a_list_of_sharers_is_private(tmp_path: Path) -> None:
    """Where the sharers are unknown each processor has a cache of its own."""
    root = write(tmp_path, cache(0, 2, 2, "1024K", None) | cache(1, 2, 2, "1024K", None))
    assert read_caches(root, [0, 1]) == ({2: 2 << 20}, None)


def virtual_caches(cpus: int, mib: int, package: str | None) -> dict[str, str]:
    """The files of a virtual machine that lists a last-level cache for each processor."""
    files: dict[str, str] = {}
    for cpu in range(cpus):
        files |= cache(cpu, 3, 3, f"{mib * 1024}K", str(cpu))
        if package is not None:
            name = f"sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id"
            files[name] = package.format(cpu=cpu, half=cpu * 2 // cpus, pair=cpu // 2) + "\n"
    return files


@pytest.mark.parametrize(
    ("cpus", "mib", "package", "assumed_mib"),
    [
        (16, 480, "0", 480),
        (16, 480, "{cpu}", 480),
        (16, 480, None, 480),
        (16, 480, "{half}", 960),
        (64, 32, "0", 1229),
        (64, 96, "{cpu}", 1229),
        (16, 480, "{pair}", 480),
        (1, 99_999, "0", 1229),
        (1, 504, "0", 504),
    ],
)
def test_a_cache_for_each_processor_is_bounded(
    tmp_path: Path, cpus: int, mib: int, package: str | None, assumed_mib: int
) -> None:
    """A cache that is too large for the processors that share it is one per socket, and a socket has what is sold."""
    caches, note = read_caches(write(tmp_path, virtual_caches(cpus, mib, package)), list(range(cpus)))
    assert caches == {3: assumed_mib * MIB}
    assert (note is None) == (cpus == 1 and mib < 1229)
    if note:
        assert f"the system lists {cpus} last-level caches" in note and "are assumed" in note


@pytest.mark.parametrize(
    ("cpus", "sharers", "mib", "sockets"),
    [(32, 2, 96, 2), (16, 1, 32, 1), (384, 32, 96, 2), (256, 256, 504, 1), (192, 16, 96, 1)],
)
def test_large_caches_that_are_sold_count_in_full(
    tmp_path: Path, cpus: int, sharers: int, mib: int, sockets: int
) -> None:
    """Milan-X, 72F3, Genoa-X and Granite Rapids keep every byte of their last-level caches."""
    files: dict[str, str] = {}
    for cpu in range(cpus):
        first = cpu // sharers * sharers
        files |= cache(cpu, 3, 3, f"{mib * 1024}K", f"{first}-{first + sharers - 1}")
        files[f"sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id"] = f"{cpu * sockets // cpus}\n"
    root = write(tmp_path, files)
    assert read_caches(root, list(range(cpus))) == ({3: cpus // sharers * mib * MIB}, None)
    assert read_caches(root, [0]) == ({3: mib * MIB}, None)


def test_a_cache_of_unreadable_size_is_left_out(tmp_path: Path) -> None:
    """Nonsense in a size file is no cache, and no error."""
    root = write(tmp_path, cache(0, 3, 3, "lots", "0") | cache(0, 2, 2, "", "0"))
    assert read_caches(root, [0]) == ({}, None)


def test_macos_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no /sys, what sysctl names counts, and a zero is no cache."""
    values = {"hw.l3cachesize": "0", "hw.perflevel0.l2cachesize": "16777216"}
    monkeypatch.setattr(cpu_module, "_sysctl", values.get)
    assert read_caches(tmp_path, [0]) == ({2: 16 << 20}, None)


def test_sysctl_is_asked_on_macos_alone() -> None:
    """On Linux no program is started to find a cache."""
    assert os.uname().sysname == "Darwin" or cpu_module._sysctl("hw.l3cachesize") is None


CGROUPS = {
    "version 2, own group": ("0::/box", {"box/cpu.max": "150000 100000"}, 1.5),
    "version 2, above the own group": ("0::/box/own", {"box/cpu.max": "50000 100000", "box/own/cpu.max": "max 1"}, 0.5),
    "version 2, the tightest": ("0::/a/b", {"a/cpu.max": "200000 100000", "a/b/cpu.max": "300000 100000"}, 2.0),
    "version 2, a container's own top": ("0::/", {"cpu.max": "150000 100000"}, 1.5),
    "version 2, a path of the host": ("0::/system.slice/x.scope", {"cpu.max": "150000 100000"}, 1.5),
    "version 2, no limit": ("0::/box", {"box/cpu.max": "max 100000"}, None),
    "version 2 beside version 1": ("1:cpu:/\n0::/box", {"unified/box/cpu.max": "150000 100000"}, 1.5),
    "version 1, own group": (
        "4:cpu:/box",
        {"cpu/box/cpu.cfs_quota_us": "400000", "cpu/box/cpu.cfs_period_us": "100000"},
        4.0,
    ),
    "version 1, above the own group": (
        "9:memory:/\n4:cpu:/box/own",
        {
            "cpu/box/cpu.cfs_quota_us": "50000",
            "cpu/box/cpu.cfs_period_us": "100000",
            "cpu/box/own/cpu.cfs_quota_us": "-1",
        },
        0.5,
    ),
    "version 1, a list of controllers": (
        "4:cpu,cpuacct:/box",
        {"cpu,cpuacct/box/cpu.cfs_quota_us": "50000", "cpu,cpuacct/box/cpu.cfs_period_us": "100000"},
        0.5,
    ),
    "version 1, a list with memory": (
        "4:cpu,memory:/box",
        {"cpu,memory/box/cpu.cfs_quota_us": "50000", "cpu,memory/box/cpu.cfs_period_us": "100000"},
        0.5,
    ),
    "version 1, no limit": ("4:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
    "another controller": (
        "4:cpuset:/box",
        {"cpuset/box/cpu.cfs_quota_us": "1", "cpuset/box/cpu.cfs_period_us": "1"},
        None,
    ),
    "nonsense": ("0::/box", {"box/cpu.max": "nonsense"}, None),
    "a period of zero": ("0::/box", {"box/cpu.max": "100000 0"}, None),
    "no file": ("0::/box", {}, None),
    "a malformed line": ("0:/box\n\n::\n0::/box", {"box/cpu.max": "150000 100000"}, 1.5),
    "a path outside": ("0::/../other", {"cpu.max": "150000 100000"}, 1.5),
}


@pytest.mark.parametrize(("groups", "files", "quota"), CGROUPS.values(), ids=CGROUPS.keys())
def test_cpu_quota(tmp_path: Path, groups: str, files: dict[str, str], quota: float | None) -> None:
    """The tightest quota from the own group up counts, of either version; no limit, and nonsense, are None."""
    tree = {f"sys/fs/cgroup/{name}": f"{text}\n" for name, text in files.items()}
    assert cpu_quota(write(tmp_path, {"proc/self/cgroup": f"{groups}\n", **tree})) == quota


MOUNTED = {
    "version 1 in a place of its own": (
        "4:cpu,cpuacct:/box",
        "31 23 0:27 / /cgroup/cpu rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct",
        {"cgroup/cpu/box/cpu.cfs_quota_us": "50000", "cgroup/cpu/box/cpu.cfs_period_us": "100000"},
    ),
    "version 2 below the host's group": (
        "0::/docker/x/sub",
        "29 23 0:26 /docker/x /sys/fs/cgroup ro - cgroup2 cgroup rw",
        {"sys/fs/cgroup/sub/cpu.max": "50000 100000"},
    ),
    "version 1 in a container": (
        "4:cpu:/docker/x",
        "29 23 0:26 /docker/x /sys/fs/cgroup/c ro master:1 - cgroup cpu rw,cpu",
        {"sys/fs/cgroup/c/cpu.cfs_quota_us": "50000", "sys/fs/cgroup/c/cpu.cfs_period_us": "100000"},
    ),
    "mounts that say nothing": ("0::/box", "nonsense\n1 2 - cgroup2", {"sys/fs/cgroup/box/cpu.max": "50000 100000"}),
    "no list of groups": ("", "", {"sys/fs/cgroup/cpu.max": "50000 100000"}),
}


@pytest.mark.parametrize(("groups", "mounts", "files"), MOUNTED.values(), ids=MOUNTED.keys())
def test_control_groups_are_where_they_are_mounted(
    tmp_path: Path, groups: str, mounts: str, files: dict[str, str]
) -> None:
    """The list of mounts says where a hierarchy is, and which of its groups is the top there."""
    listed = {"proc/self/cgroup": f"{groups}\n", "proc/self/mountinfo": f"{mounts}\n"}
    assert cpu_quota(write(tmp_path, listed | files)) == 0.5


STAT = "cpu  100 20 30 5000 60 7 8 9 1000 0\ncpu0 1 1 1 1 1 1 1 1 1 1\nintr 12345\n"


def test_processor_use_is_all_but_idling(tmp_path: Path) -> None:
    """Busy is user, nice, system, both interrupts and steal; guest time is part of user already."""
    use = read_cpu_use(12.5, write(tmp_path, {"proc/stat": STAT}))
    assert use is not None
    assert use.all_s == pytest.approx((100 + 20 + 30 + 7 + 8 + 9) / os.sysconf("SC_CLK_TCK"))
    assert use.elapsed_s == 12.5
    assert use.counted_s == pytest.approx(use.all_s + (5000 + 60) / os.sysconf("SC_CLK_TCK"))


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "intr 1\n",
        "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\n",
        "cpu 1 2 3\n",
        "cpu 1 2 x 4 5 6 7 8\n",
    ],
)
def test_no_processor_use_without_counters(tmp_path: Path, text: str | None) -> None:
    """Where there are no counters, only zeros (gVisor, lxcfs) or nonsense, the use is unknown."""
    assert read_cpu_use(0.0, tmp_path if text is None else write(tmp_path, {"proc/stat": text})) is None


def test_own_use_grows_with_own_work(tmp_path: Path) -> None:
    """The time that this process computes is its own, so it is never taken for another program's."""
    root = write(tmp_path, {"proc/stat": STAT})
    before, begin = read_cpu_use(0.0, root), os.times().user
    while (worked := os.times().user - begin) < 0.03:
        sum(range(10_000))
    after = read_cpu_use(1.0, root)
    assert before is not None and after is not None
    rounding = 1e-6  # both are differences of sums of ticks
    assert after.own_s - before.own_s >= worked - rounding


@pytest.mark.parametrize(
    ("busy", "own", "elapsed", "cpus", "share"),
    [
        (2.0, 2.0, 1.0, 2, 0.0),
        (3.0, 2.0, 1.0, 4, 0.25),
        (1.0, 1.1, 1.0, 2, 0.0),
        (4.0, 0.0, 2.0, 2, 1.0),
        (1.0, 0.0, 0.49, 2, None),
        (32.0, 0.0, 1.0, 2, None),
    ],
)
def test_the_share_of_others(busy: float, own: float, elapsed: float, cpus: int, share: float | None) -> None:
    """What all programs used less what this one used, over processors and time; unknown if too short."""
    before = CpuUse(10.0, 5.0, 100.0, 50.0)
    got = others_share(before, CpuUse(10.0 + busy, 5.0 + own, 100.0 + elapsed, 50.0 + cpus * elapsed), cpus)
    assert got == (None if share is None else pytest.approx(share))


def test_the_share_of_others_is_unknown_without_counters() -> None:
    """A missing reading on either side gives no share."""
    use = CpuUse(1.0, 1.0, 1.0, 1.0)
    assert others_share(None, use, 2) is None
    assert others_share(use, None, 2) is None


@pytest.mark.parametrize("counted", [0.0, 1.9])
def test_the_share_of_others_is_unknown_where_counters_stand_still(counted: float) -> None:
    """Counters that did not count busy and idle time for half of the processors say nothing about other programs."""
    before = CpuUse(10.0, 5.0, 100.0, 50.0)
    assert others_share(before, CpuUse(10.0, 6.0, 101.0, 50.0 + counted), 4) is None
    assert others_share(before, CpuUse(11.0, 6.0, 101.0, 52.0), 4) == 0.0


TEXTS = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from(
            ["cpu", "cpu ", "0", "1", "99999999999999999999", ":", "::", "/", "..", "-", ",", "K", "max", "\n"]
        ),
        max_size=12,
    ).map("".join),
    st.integers(0, 6000).map(lambda digits: "9" * digits),
)
FILES = (
    "proc/cpuinfo",
    "proc/stat",
    "proc/self/cgroup",
    "sys/fs/cgroup/cpu.max",
    "sys/devices/cpu_core/cpus",
    "sys/devices/system/cpu/online",
    "sys/devices/system/cpu/cpu0/cpu_capacity",
    "sys/devices/system/cpu/cpu0/topology/physical_package_id",
    *(f"sys/devices/system/cpu/cpu0/cache/index3/{name}" for name in ("level", "size", "type", "shared_cpu_list")),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(st.none() | TEXTS, min_size=len(FILES), max_size=len(FILES)))
def test_no_file_makes_a_probe_fail(tmp_path: Path, texts: list[str | None]) -> None:
    """Whatever stands in a file, or nothing, each probe returns a value or None."""
    write(tmp_path, {name: text or "" for name, text in zip(FILES, texts, strict=True)})
    for name, text in zip(FILES, texts, strict=True):
        if text is None:
            (tmp_path / name).unlink()
    assert cpu_count(tmp_path) >= 1 and cpu_model_name(tmp_path)
    assert all(size > 0 for size in read_caches(tmp_path, [0])[0].values())
    quota, cores, use = cpu_quota(tmp_path), unequal_cores(tmp_path), read_cpu_use(1.0, tmp_path)
    assert quota is None or quota > 0
    assert cores is None or " x " in cores
    assert use is None or use.all_s >= 0
