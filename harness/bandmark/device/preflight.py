"""What about this machine spoils measurements? One sentence each, with what to do."""

from __future__ import annotations

from bandmark.device.machine import Machine

BUSY_FROM = 0.2
"""Load average per processor from which the machine counts as busy."""


def preflight(machine: Machine, *, on_cpu: bool, threads: int | None = None) -> list[str]:
    """Return what to know before trusting the figures; empty if nothing stands out.

    Args:
        machine: the host.
        on_cpu: whether the CPU itself is measured: NUMA nodes and huge pages matter only then.
        threads: how many work on a launch; None for one per processor that this process may use.
    """
    notes = [_governor(machine), _load(machine), _wsl(machine)]
    if on_cpu:
        notes += [
            _huge_pages(machine),
            _numa(machine),
            _affinity(machine),
            _quota(machine, threads or machine.cpu_usable),
        ]
    return [note for note in notes if note]


def _governor(machine: Machine) -> str | None:
    if machine.governor in (None, "performance"):
        return None
    return (
        f"the CPU frequency governor is {machine.governor!r}, so clocks follow the load; "
        "`sudo cpupower frequency-set -g performance` holds them"
    )


def _load(machine: Machine) -> str | None:
    if machine.load_1min is None or machine.load_1min / machine.cpu_count < BUSY_FROM:
        return None
    return (
        f"the load average is {machine.load_1min:g} on {machine.cpu_count} processors (busy from "
        f"{BUSY_FROM * machine.cpu_count:g}); other programs share the memory: stop them and run again"
    )


def _wsl(machine: Machine) -> str | None:
    if not machine.is_wsl:
        return None
    return "this is WSL2: GPU launches cost more, and clocks, power and other GPU programs can't be seen"


def _huge_pages(machine: Machine) -> str | None:
    if machine.transparent_huge_pages != "never":
        return None
    return (
        "transparent huge pages are off, which costs bandwidth on large arrays; "
        "`echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled` turns them on"
    )


def _numa(machine: Machine) -> str | None:
    if machine.numa_nodes is None or machine.numa_nodes < 2:
        return None
    return (
        f"there are {machine.numa_nodes} NUMA nodes; NumPy's threads touch their own memory first, torch's may not: "
        "`numactl --cpunodebind=0 --membind=0` measures one node (on a machine whose GPU memory is a node, the CPU's)"
    )


def _affinity(machine: Machine) -> str | None:
    if machine.cpu_usable == machine.cpu_count:
        return None
    return (
        f"this process may use {machine.cpu_usable} of {machine.cpu_count} processors (affinity), "
        "which may be too few to saturate the memory"
    )


def _quota(machine: Machine, threads: int) -> str | None:
    if machine.cpu_quota is None or machine.cpu_quota >= threads:
        return None
    fitting = max(1, int(machine.cpu_quota))
    return (
        f"a container grants {machine.cpu_quota:g} processors' worth of time to {threads} threads and stops "
        f"them when it is used up, in the middle of a sample: --threads {fitting}, or a container without a CPU limit"
    )
