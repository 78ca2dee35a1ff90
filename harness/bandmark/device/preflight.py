"""Note what about this machine disturbs measurements, one sentence each, with what to do."""

from __future__ import annotations

from collections.abc import Iterator

from bandmark.device.machine import Machine

_MIN_BUSY = 0.2
"""Load average per processor from which the machine counts as busy."""


def preflight(machine: Machine, *, on_cpu: bool, threads: int | None = None) -> list[str]:
    """Return what to know before trusting the figures; empty if nothing stands out.

    Args:
        machine: the host.
        on_cpu: whether the CPU itself is measured: NUMA nodes and huge pages matter only then.
        threads: how many work on a launch; None for one per processor that this process may use.
    """
    notes = list(_about_any_device(machine))
    return notes + list(_about_cpu(machine, threads or machine.cpu_usable) if on_cpu else _about_gpu(machine))


def _about_any_device(machine: Machine) -> Iterator[str]:
    if machine.governor not in (None, "performance"):
        yield (
            f"the CPU frequency governor is {machine.governor!r}, so clocks follow the load; "
            "`sudo cpupower frequency-set -g performance` holds them"
        )
    busy_from = _MIN_BUSY * machine.cpu_count
    if machine.load_1min is not None and machine.load_1min >= busy_from:
        yield (
            f"the load average is {machine.load_1min:g} on {machine.cpu_count} processors (busy from {busy_from:g}); "
            "other programs share the memory: stop them and run again"
        )
    if machine.is_wsl:
        yield (
            "this is WSL2: GPU launches pass through Windows and cost more; clocks, power, other programs on the GPU "
            "and those of Windows may be invisible; the firmware does not show the memory modules; and the memory is "
            "the virtual machine's, half of the PC's unless .wslconfig says otherwise. Close other programs, or use "
            "Linux"
        )


def _about_cpu(machine: Machine, threads: int) -> Iterator[str]:
    if machine.transparent_huge_pages == "never":
        yield (
            "transparent huge pages are off, which costs bandwidth on large arrays; "
            "`echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled` turns them on"
        )
    if machine.numa_nodes is not None and machine.numa_nodes > 1:
        yield (
            f"there are {machine.numa_nodes} NUMA nodes; NumPy's threads touch their own memory first, torch's may "
            "not: `numactl --cpunodebind=0 --membind=0` measures one node (on a machine whose GPU memory is a node, "
            "the CPU's)"
        )
    if machine.cpu_usable < machine.cpu_count:
        yield (
            f"this process may use {machine.cpu_usable} of {machine.cpu_count} processors (affinity), "
            "which may be too few to saturate the memory"
        )
    if machine.cpu_quota is not None and machine.cpu_quota < threads:
        yield (
            f"a container grants {machine.cpu_quota:g} processors' worth of time to {threads} threads and stops "
            "them when it is used up, in the middle of a sample: "
            f"--threads {max(1, int(machine.cpu_quota))}, or a container without a CPU limit"
        )
    if machine.cpu_cores is not None:
        yield (
            f"the cores are unequal ({machine.cpu_cores}), and a launch ends with the slowest of them; "
            "`taskset -c` with the processors of one kind measures that kind"
        )
    if machine.llc_note is not None:
        yield machine.llc_note


def _about_gpu(machine: Machine) -> Iterator[str]:
    if machine.environment.get("CUDA_LAUNCH_BLOCKING", "0") not in ("0", ""):
        yield (
            "CUDA_LAUNCH_BLOCKING is set, so each launch waits for the one before and its cost is part of the samples; "
            "`unset CUDA_LAUNCH_BLOCKING` and run again"
        )
