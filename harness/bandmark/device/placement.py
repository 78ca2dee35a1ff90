"""Choose the processors on which threads run: one per core, the fastest kind of core first, NUMA nodes in turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bandmark.device.cpu import INTEL_CORES
from bandmark.device.system import format_cpu_list, parse_cpu_list, read_number, read_text
from bandmark.errors import UsageError


@dataclass(frozen=True, slots=True)
class Processor:
    """A processor as the scheduler counts them, and the core that it is a thread of."""

    cpu: int
    core: int
    """The lowest processor of its core."""
    speed: int = 0
    """Higher for faster kinds of cores; comparable on one machine."""
    place: tuple[int, str] = (0, "")
    """Its NUMA node, and the processors of its cluster, which share a cache."""
    kind: str = ""
    """What kind of core it is: P, E or LP-E of Intel, the capacity on Arm."""


def read_processors(cpus: Sequence[int], root: Path = Path("/")) -> list[Processor]:
    """Read what /sys below root says of these processors; what it does not say makes them equal, each its own core.

    Sources: core_cpus_list and cluster_cpus_list (Linux, admin-guide/cputopology.rst), cpu_capacity of Arm
    (ABI/testing/sysfs-devices-system-cpu), the kinds of cores of hybrid Intel processors, and the nodes' cpulist.
    """
    system = root / "sys/devices/system"
    nodes = {
        cpu: int(folder.name.removeprefix("node"))
        for folder in (system / "node").glob("node[0-9]*")
        for cpu in parse_cpu_list(read_text(folder / "cpulist"))
    }
    kinds = {
        cpu: (rank, kind)
        for rank, (folder, kind) in enumerate(reversed(INTEL_CORES.items()))
        for cpu in parse_cpu_list(read_text(root / "sys/devices" / folder / "cpus"))
    }

    def read_processor(cpu: int) -> Processor:
        folder = system / f"cpu/cpu{cpu}"
        listed = (read_text(folder / f"topology/{name}_list") for name in ("core_cpus", "thread_siblings"))
        siblings = parse_cpu_list(next(filter(None, listed), None))
        capacity = read_number(folder / "cpu_capacity") or 0
        speed, kind = kinds.get(cpu, (capacity, str(capacity or "")))
        place = (nodes.get(cpu, 0), read_text(folder / "topology/cluster_cpus_list") or "")
        return Processor(cpu, min(siblings, default=cpu), capacity or speed, place, kind)

    return [*map(read_processor, cpus)]


def by_kind(processors: Sequence[Processor]) -> dict[str, list[int]]:
    """Return the processors of each kind of core (cores-P), and of each NUMA node (node-0), where there are several."""
    groups: dict[str, list[int]] = {}
    for names in ([f"cores-{p.kind or 'other'}" for p in processors], [f"node-{p.place[0]}" for p in processors]):
        if len({*names}) > 1:
            for name, processor in zip(names, processors, strict=True):
                groups.setdefault(name, []).append(processor.cpu)
    return groups


def choose(processors: Sequence[Processor], threads: int | None = None) -> list[int]:
    """Return the processors for so many threads, or for one per core, in ascending order.

    A second thread shares a core only when every core has one. Of equal cores those of the NUMA node and the cluster
    that have fewest threads so far come next.
    """
    siblings: Counter[int] = Counter()
    ranked: dict[tuple[int, int], list[Processor]] = {}
    for processor in sorted(processors, key=lambda p: p.cpu):
        ranked.setdefault((siblings[processor.core], -processor.speed), []).append(processor)
        siblings[processor.core] += 1
    ordered: list[Processor] = []
    for rank in sorted(ranked):
        seen: Counter[tuple[int, str]] = Counter()
        turns = []
        for processor in ranked[rank]:
            turns.append((seen[processor.place], processor.cpu, processor))
            seen[processor.place] += 1
        ordered += [processor for _, _, processor in sorted(turns)]
    return sorted(p.cpu for p in ordered[: len(siblings) if threads is None else threads])


def place_threads(
    usable: Sequence[int], *, threads: int | None = None, cpus: Sequence[int] | None = None, root: Path = Path("/")
) -> list[int]:
    """Return the processors on which the threads of a run work, one thread on each.

    Args:
        usable: the processors that this process may use.
        threads: how many; None for one per core, or for one on each of `cpus`.
        cpus: those to choose from; None for all that are usable.
        root: where /sys is.

    Raises:
        UsageError: a processor may not be used, or there are fewer than threads.
    """
    if refused := set(cpus or ()) - set(usable):
        raise UsageError(
            f"--cpus {format_cpu_list(sorted(refused))} is not possible: "
            f"this process may use {format_cpu_list(usable)}."
        )
    chosen = sorted(set(usable if cpus is None else cpus))
    if threads is not None and not 1 <= threads <= len(chosen):
        which = "this process may use" if cpus is None else "--cpus names"
        many = f"1 to {len(chosen)} processors" if len(chosen) > 1 else "1 processor"
        raise UsageError(f"--threads {threads} is not possible: {which} {many}.")
    if cpus is not None and threads is None:
        return chosen
    return choose(read_processors(chosen, root), threads)
