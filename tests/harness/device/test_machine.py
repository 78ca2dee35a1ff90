"""The facts of a machine, from pretend /proc and /sys trees; and nothing in them that names its owner."""

from __future__ import annotations

import getpass
import json
import os
import re
import socket
from dataclasses import asdict
from pathlib import Path

import pytest

from bandmark.device import machine as machine_module
from bandmark.device.machine import read_machine
from fakes import make_machine
from system_files import cache, write


def test_what_a_system_does_not_tell_is_unknown(tmp_path: Path) -> None:
    """On an empty tree every optional fact is None, and nothing fails."""
    machine = read_machine(tmp_path)
    values = (machine.llc_bytes, machine.l2_bytes, machine.governor, machine.transparent_huge_pages, machine.numa_nodes)
    assert values == (None,) * 5
    assert machine.cpu_quota is None and machine.cpu_cores is None
    assert machine.is_wsl is False
    assert machine.as_device().llc_bytes is None


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


def test_the_last_level_is_the_highest_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a third level the second is the last; a cache without a list of sharers is its processor's own."""
    monkeypatch.setattr(machine_module, "usable_cpus", lambda: [0, 1])
    root = write(tmp_path, cache(0, 2, 2, "1024K", None) | cache(1, 2, 2, "1024K", None))
    found = read_machine(root)
    assert found.llc_bytes == found.l2_bytes == 2 << 20


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
    found = json.loads(json.dumps(asdict(read_machine())))
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


def test_variables_that_change_launches_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA_LAUNCH_BLOCKING and PYTHON_CPU_COUNT are recorded, and the latter is not the machine's count."""
    count = read_machine().cpu_count
    monkeypatch.setenv("CUDA_LAUNCH_BLOCKING", "1")
    monkeypatch.setenv("PYTHON_CPU_COUNT", "77")
    monkeypatch.setattr(os, "cpu_count", lambda: 77)
    machine = read_machine()
    assert {"CUDA_LAUNCH_BLOCKING": "1", "PYTHON_CPU_COUNT": "77"}.items() <= machine.environment.items()
    assert machine.cpu_count == count


def test_an_assumed_cache_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A virtual machine's cache for each processor counts once, so that a default size is not called cached."""
    monkeypatch.setattr(machine_module, "usable_cpus", lambda: list(range(16)))
    files: dict[str, str] = {}
    for cpu in range(16):
        files |= cache(cpu, 3, 3, f"{480 * 1024}K", str(cpu))
    machine = read_machine(write(tmp_path, files))
    assert machine.llc_bytes == 480 << 20 and "480 MiB are assumed" in (machine.llc_note or "")


@pytest.mark.parametrize("error", [OSError("no /proc/loadavg"), AttributeError("no getloadavg")])
def test_a_load_that_can_not_be_read_is_unknown(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Where getloadavg fails, or the OS has none, the load is None."""

    def fail() -> None:
        raise error

    monkeypatch.setattr(os, "getloadavg", fail)
    assert read_machine().load_1min is None
