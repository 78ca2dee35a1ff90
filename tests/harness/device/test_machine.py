"""The facts of a machine, from pretend /proc and /sys trees; and nothing in them that names its owner."""

from __future__ import annotations

import getpass
import json
import os
import re
import socket
from pathlib import Path

import pytest

from bandmark.device import machine as machine_module
from bandmark.device.machine import CpuUse, others_share, read_caches, read_cpu_use, read_machine
from fakes import make_machine

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


def write(root: Path, files: dict[str, str]) -> Path:
    """Write a tree of files."""
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def cache(cpu: int, index: int, level: int, size: str, shared: str | None, kind: str = "Unified") -> dict[str, str]:
    """The files of one cache of one processor."""
    folder = f"sys/devices/system/cpu/cpu{cpu}/cache/index{index}"
    files = {f"{folder}/level": f"{level}\n", f"{folder}/size": f"{size}\n", f"{folder}/type": f"{kind}\n"}
    return files | ({f"{folder}/shared_cpu_list": f"{shared}\n"} if shared is not None else {})


def test_an_x86_processor_has_its_name(tmp_path: Path) -> None:
    """The model name is taken whole, colons included."""
    root = write(tmp_path, {"proc/cpuinfo": X86})
    assert read_machine(root).cpu_model_name == "AMD EPYC 9654: 96-Core Processor"


def test_an_arm_processor_has_its_numbers(tmp_path: Path) -> None:
    """Where Linux has no name the implementer's and the part's numbers stand for it."""
    assert read_machine(write(tmp_path, {"proc/cpuinfo": ARM})).cpu_model_name == "Arm implementer 0x41 part 0xd85"


@pytest.mark.parametrize("text", [None, "", "nothing here\n"])
def test_a_processor_without_cpuinfo_has_some_name(tmp_path: Path, text: str | None) -> None:
    """Without the file, or with an empty one, the architecture stands for the name; it is never empty."""
    root = tmp_path if text is None else write(tmp_path, {"proc/cpuinfo": text})
    assert read_machine(root).cpu_model_name


def test_what_a_system_does_not_tell_is_unknown(tmp_path: Path) -> None:
    """On an empty tree every optional fact is None, and nothing fails."""
    found = read_machine(tmp_path)
    unknown = (found.llc_bytes, found.l2_bytes, found.governor, found.transparent_huge_pages, found.numa_nodes)
    assert unknown == (None,) * 5
    assert found.is_wsl is False
    assert found.as_device().llc_bytes is None


def test_facts_are_read(tmp_path: Path) -> None:
    """Governor, huge pages, NUMA nodes and WSL come from their files."""
    files = {
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
        "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
        "sys/devices/system/node/node0/cpulist": "0-3\n",
        "sys/devices/system/node/node1/cpulist": "4-7\n",
        "sys/devices/system/node/node10/cpulist": "8\n",
        "sys/devices/system/node/online": "0-1\n",
        "proc/version": "Linux version 5.15.90.1-microsoft-standard-WSL2\n",
        "proc/meminfo": "MemTotal:  1024 kB\nMemAvailable: 512 kB\n",
    }
    found = read_machine(write(tmp_path, files))
    assert found.governor == "powersave"
    assert found.transparent_huge_pages == "madvise"
    assert found.numa_nodes == 3
    assert found.is_wsl is True
    assert found.memory_total_bytes == 1024 * 1024


def test_the_processor_is_a_device(tmp_path: Path) -> None:
    """As a device the CPU has its model name, the system's memory and its last-level cache."""
    device = make_machine().as_device()
    assert (device.kind, device.name) == ("cpu", "Fake CPU @ 3 GHz")
    assert (device.memory_bytes, device.llc_bytes) == (64 * 2**30, 32 * 2**20)


def test_caches_that_threads_of_a_core_share_count_once(tmp_path: Path) -> None:
    """Two hyperthreads list the same cache; instruction caches are no room for data."""
    files: dict[str, str] = {}
    for cpu, shared in ((0, "0,2"), (1, "1,3"), (2, "0,2"), (3, "1,3")):
        files |= cache(cpu, 0, 1, "48K", shared, "Data") | cache(cpu, 1, 1, "32K", shared, "Instruction")
        files |= cache(cpu, 2, 2, "2048K", shared) | cache(cpu, 3, 3, "30720K", "0-3")
    root = write(tmp_path, files)
    assert read_caches(root, [0, 1, 2, 3]) == {1: 96 << 10, 2: 4 << 20, 3: 30 << 20}


def test_several_last_level_caches_add_up(tmp_path: Path) -> None:
    """Every cluster or socket that the process may use adds its own last-level cache."""
    files: dict[str, str] = {}
    for cpu in range(8):
        files |= cache(cpu, 3, 3, "32768K", "0-3" if cpu < 4 else "4-7")
    root = write(tmp_path, files)
    assert read_caches(root, list(range(8))) == {3: 64 << 20}
    assert read_caches(root, [5]) == {3: 32 << 20}


def test_the_last_level_is_the_highest_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a third level the second is the last; a cache without a list of sharers is its processor's own."""
    monkeypatch.setattr(machine_module, "usable_cpus", lambda: [0, 1])
    root = write(tmp_path, cache(0, 2, 2, "1024K", None) | cache(1, 2, 2, "1024K", None))
    found = read_machine(root)
    assert found.llc_bytes == found.l2_bytes == 2 << 20


def test_a_cache_of_unreadable_size_is_left_out(tmp_path: Path) -> None:
    """Nonsense in a size file is no cache, and no error."""
    root = write(tmp_path, cache(0, 3, 3, "lots", "0") | cache(0, 2, 2, "", "0"))
    assert read_caches(root, [0]) == {}


def test_macos_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no /sys, what sysctl names counts, and a zero is no cache."""
    told = {"hw.l3cachesize": "0", "hw.perflevel0.l2cachesize": "16777216"}
    monkeypatch.setattr(machine_module, "_sysctl", told.get)
    assert read_caches(tmp_path, [0]) == {2: 16 << 20}


def test_sysctl_is_asked_on_macos_alone() -> None:
    """On Linux no program is started to find a cache."""
    assert os.uname().sysname == "Darwin" or machine_module._sysctl("hw.l3cachesize") is None


def leaves(value: object) -> list[str]:
    """Every text in a JSON value, keys included."""
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in leaves(part)]
    if isinstance(value, list | tuple):
        return [text for part in value for text in leaves(part)]
    return [value] if isinstance(value, str) else []


def test_nothing_names_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """No host name, user name, home or path of this machine stands in its facts, nor one that a variable carries."""
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    monkeypatch.setenv("KMP_AFFINITY", "granularity=fine,compact")
    monkeypatch.setenv("MKL_DEBUG_FILE", "/home/someone/mkl.log")
    monkeypatch.setenv("OMP_TOOL_LIBRARIES", "C:\\Users\\someone\\tool.dll")
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    found = json.loads(json.dumps(read_machine().as_json()))
    texts = leaves(found)
    for name in {socket.gethostname(), os.uname().nodename, getpass.getuser(), str(Path.home()), str(Path.cwd())}:
        owner = re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])")
        assert not [text for text in texts if owner.search(text)]
    assert not [text for text in texts if "/home" in text or "\\" in text or "someone" in text or "hunter2" in text]
    assert found["environment"].get("OMP_NUM_THREADS") == "4"


def test_only_plain_settings_of_threading_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable is recorded if it sets the threads of a numerical library and its value is plain."""
    for name in [n for n in os.environ if re.match("OMP_|MKL_|OPENBLAS_|KMP_|GOMP_|BLIS_|VECLIB_", n)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    monkeypatch.setenv("GOMP_CPU_AFFINITY", "0-3 8")
    monkeypatch.setenv("OMP_PLACES", "/etc/passwd")
    monkeypatch.setenv("MY_OMP_THREADS", "2")
    assert read_machine().environment == {"OPENBLAS_NUM_THREADS": "2", "GOMP_CPU_AFFINITY": "0-3 8"}


STAT = "cpu  100 20 30 5000 60 7 8 9 1000 0\ncpu0 1 1 1 1 1 1 1 1 1 1\nintr 12345\n"


def test_processor_use_is_all_but_idling(tmp_path: Path) -> None:
    """Busy is user, nice, system, both interrupts and steal; guest time is part of user already."""
    use = read_cpu_use(12.5, write(tmp_path, {"proc/stat": STAT}))
    assert use is not None
    assert use.all_s == pytest.approx((100 + 20 + 30 + 7 + 8 + 9) / os.sysconf("SC_CLK_TCK"))
    assert use.elapsed_s == 12.5


@pytest.mark.parametrize("files", [{}, {"proc/stat": ""}, {"proc/stat": "intr 1\n"}])
def test_no_processor_use_without_counters(tmp_path: Path, files: dict[str, str]) -> None:
    """Where there are no counters the use is unknown."""
    assert read_cpu_use(0.0, write(tmp_path, files)) is None


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
    ],
)
def test_the_share_of_others(busy: float, own: float, elapsed: float, cpus: int, share: float | None) -> None:
    """What all programs used less what this one used, over processors and time; unknown if too short."""
    got = others_share(CpuUse(10.0, 5.0, 100.0), CpuUse(10.0 + busy, 5.0 + own, 100.0 + elapsed), cpus)
    assert got == (None if share is None else pytest.approx(share))


def test_the_share_of_others_is_unknown_without_counters() -> None:
    """A missing reading on either side gives no share."""
    use = CpuUse(1.0, 1.0, 1.0)
    assert others_share(None, use, 2) is None
    assert others_share(use, None, 2) is None
