"""Where threads run, on pretend machines: one per core, fast cores first, nodes and clusters in turn."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandmark.device.placement import Processor, by_kind, choose, place_threads, read_processors
from bandmark.errors import UsageError
from system_files import write

TOPOLOGY = "sys/devices/system/cpu/cpu{}/topology/{}"


def machine(root: Path, siblings: dict[int, str], **files: str) -> Path:
    """A tree of processors by the list of their core's, with further files by path."""
    return write(root, {TOPOLOGY.format(cpu, "core_cpus_list"): text for cpu, text in siblings.items()} | files)


def test_a_second_thread_of_a_core_comes_last(tmp_path: Path) -> None:
    """Four threads of two cores, numbered as on most x86 machines: one per core, and all four where asked for."""
    root = machine(tmp_path, {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"})
    assert place_threads(range(4), root=root) == [0, 1]
    assert place_threads(range(4), threads=3, root=root) == [0, 1, 2]
    assert place_threads([2, 3], root=root) == [2, 3], "the siblings that may be used stand for their cores"


def test_the_older_name_of_the_siblings(tmp_path: Path) -> None:
    """Kernels before 5.2 have thread_siblings_list alone."""
    root = write(tmp_path, {TOPOLOGY.format(cpu, "thread_siblings_list"): "0-1" for cpu in (0, 1)})
    assert place_threads([0, 1], root=root) == [0]


def test_fast_cores_first_on_hybrid_intel(tmp_path: Path) -> None:
    """P-cores before E-cores, E-cores before those of low power, and second threads of P-cores after all."""
    kinds = {"cpu_core": "0-3", "cpu_atom": "4-5", "cpu_lowpower": "6"}
    files = {f"sys/devices/{name}/cpus": cpus for name, cpus in kinds.items()}
    root = machine(tmp_path, {0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3", 4: "4", 5: "5", 6: "6"}, **files)
    chosen = [place_threads(range(7), threads=n, root=root) for n in (2, 3, 5, 6)]
    assert chosen == [[0, 2], [0, 2, 4], [0, 2, 4, 5, 6], [0, 1, 2, 4, 5, 6]]


def test_clusters_of_unequal_arm_cores(tmp_path: Path) -> None:
    """As on a GB10: cores of high capacity first, and of those one from each cluster in turn."""
    capacity, clusters = {0: 718, 1: 1024, 2: 1024, 3: 718, 4: 1024, 5: 1024}, ("0-2", "3-5")
    files = {f"sys/devices/system/cpu/cpu{cpu}/cpu_capacity": str(value) for cpu, value in capacity.items()}
    files |= {TOPOLOGY.format(cpu, "cluster_cpus_list"): clusters[cpu // 3] for cpu in capacity}
    root = write(tmp_path, files)
    assert [place_threads(range(6), threads=n, root=root) for n in (1, 2, 4)] == [[1], [1, 4], [1, 2, 4, 5]]


def test_numa_nodes_take_turns(tmp_path: Path) -> None:
    """Few threads are spread over the nodes, since each node has memory channels of its own."""
    root = write(tmp_path, {f"sys/devices/system/node/node{n}/cpulist": f"{4 * n}-{4 * n + 3}" for n in (0, 1)})
    assert [place_threads(range(8), threads=n, root=root) for n in (2, 3)] == [[0, 4], [0, 1, 4]]


def test_kinds_of_cores_and_nodes_are_told_apart(tmp_path: Path) -> None:
    """By Intel's lists, Arm's capacities and the nodes; where all are alike there is nothing to tell apart."""
    intel = {f"sys/devices/{name}/cpus": cpus for name, cpus in {"cpu_core": "0-1", "cpu_atom": "2-3"}.items()}
    assert by_kind(read_processors(range(4), write(tmp_path / "intel", intel))) == {
        "cores-P": [0, 1],
        "cores-E": [2, 3],
    }
    assert by_kind(read_processors(range(5), tmp_path / "intel"))["cores-other"] == [4]
    arm = {f"sys/devices/system/cpu/cpu{cpu}/cpu_capacity": str(718 + 306 * (cpu % 2)) for cpu in range(4)}
    nodes = {f"sys/devices/system/node/node{node}/cpulist": f"{2 * node}-{2 * node + 1}" for node in (0, 1)}
    kinds = by_kind(read_processors(range(4), write(tmp_path / "arm", arm | nodes)))
    assert kinds == {"cores-718": [0, 2], "cores-1024": [1, 3], "node-0": [0, 1], "node-1": [2, 3]}
    assert by_kind(read_processors([0, 1], write(tmp_path / "one", {TOPOLOGY.format(0, "core_cpus_list"): "0"}))) == {}


@pytest.mark.parametrize("text", ["", "nonsense", "4-1", "-1"])
def test_what_is_malformed_is_unknown(tmp_path: Path, text: str) -> None:
    """Without a usable list each processor is its own core."""
    assert place_threads([0, 1], root=machine(tmp_path, {0: text, 1: text})) == [0, 1]
    assert read_processors([7], tmp_path / "none") == [Processor(7, 7)]


def test_named_processors_are_used_as_they_are(tmp_path: Path) -> None:
    """--cpus gives a thread to each one named, siblings too; with --threads that many are chosen from them."""
    root = machine(tmp_path, {0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"})
    assert place_threads(range(4), cpus=[1, 0], root=root) == [0, 1]
    assert place_threads(range(4), cpus=[0, 1, 3], threads=2, root=root) == [0, 3]


@pytest.mark.parametrize(
    ("threads", "cpus", "message"),
    [
        (0, None, "--threads 0 is not possible: this process may use 1 to 4 processors."),
        (5, None, "--threads 5 is not possible: this process may use 1 to 4 processors."),
        (2, [3], "--threads 2 is not possible: --cpus names 1 processor."),
        (None, [2, 4, 5, 9], "--cpus 4-5,9 is not possible: this process may use 0-3."),
    ],
)
def test_what_can_not_be_is_refused(threads: int | None, cpus: list[int] | None, message: str) -> None:
    """Contradictions say what was given and what is accepted."""
    with pytest.raises(UsageError, match=r"^" + message.replace(".", r"\.") + "$"):
        place_threads(range(4), threads=threads, cpus=cpus)


@given(
    st.lists(
        st.builds(Processor, st.integers(0, 63), st.integers(0, 7), st.integers(0, 2)),
        min_size=1,
        unique_by=lambda p: p.cpu,
    )
)
def test_whatever_the_machine(processors: list[Processor]) -> None:
    """Any number of threads gets that many different processors, in ascending order; by default one per core."""
    cores = {p.cpu: p.core for p in processors}
    default = choose(processors)
    assert sorted(cores[cpu] for cpu in default) == sorted(set(cores.values()))
    for threads in range(1, len(processors) + 1):
        chosen = choose(processors, threads)
        assert len(chosen) == threads and chosen == sorted(set(chosen)) and set(chosen) <= set(cores)
        assert len({cores[cpu] for cpu in chosen}) == min(threads, len(default))
