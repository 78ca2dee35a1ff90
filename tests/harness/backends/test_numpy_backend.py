"""NumPy on the CPU: every kernel right on several threads, wrong outputs found, and no trace left."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from bandmark.backends.host import HostMemory
from bandmark.backends.numpy_backend import NumpyBackend
from bandmark.backends.team import Team
from bandmark.device.sensors import SensorReading
from bandmark.measure.sampling import take
from bandmark_kernels import DTYPES, KERNELS, QUANTIZED, Shape
from bandmark_kernels.core.checks import make_inputs
from bandmark_kernels.core.kernel import Inputs
from fakes import GIB, make_machine
from kernel_cases import shape_of


@pytest.fixture(scope="module")
def backend() -> Iterator[NumpyBackend]:
    """A backend on two threads of one processor."""
    with Team([0, 0]) as team:
        yield NumpyBackend(make_machine().as_device(), HostMemory(team))


def inputs(kernel: str, dtype: str = "float64", n: int = 1000) -> Inputs:
    """The inputs of a small case."""
    shape = shape_of(KERNELS[kernel], n, Shape(60, m=50))
    (number, *_) = KERNELS[kernel].dtypes_among([DTYPES[dtype]])
    return make_inputs(KERNELS[kernel], number, shape, seed=3)


@pytest.mark.parametrize("kernel", [name for name, kernel in KERNELS.items() if kernel.implementations["numpy"].dtypes])
def test_every_kernel_is_timed_and_verified(backend: NumpyBackend, kernel: str) -> None:
    """A window takes time, and the output after it is right; verification can be repeated."""
    workload = backend.prepare(inputs(kernel))
    assert take(workload, 3).seconds > 0
    assert workload.verify() <= 1
    take(workload, 1)
    assert workload.verify() <= 1
    workload.close()


@pytest.mark.parametrize("kernel", ["copy", "triad", "nstream", "dot", "gemv", "adamw", "adamw_master"])
def test_a_launch_that_does_nothing_is_found(backend: NumpyBackend, kernel: str) -> None:
    """Verification poisons the output first (in place: uses other scalars), so idle threads fail it."""
    workload = backend.prepare(inputs(kernel))
    take(workload, 1)
    workload.launch = lambda: None  # type: ignore[method-assign]
    assert not workload.verify() <= 1


@pytest.mark.parametrize("kernel", ["adamw", "adamw_master"])
def test_every_output_is_restored(backend: NumpyBackend, kernel: str) -> None:
    """After verification what is worked on in place is as it was, and what is only written is poisoned."""
    workload = backend.prepare(inputs(kernel))
    before = {name: array.copy() for name, array in workload._sets[0].items()}
    assert workload.verify() <= 1
    for name, array in workload._sets[0].items():
        assert array.tobytes() == before[name].tobytes()


def test_verification_leaves_the_timed_calls(backend: NumpyBackend) -> None:
    """After the launch with other scalars the timed ones are back."""
    workload = backend.prepare(inputs("nstream"))
    before = list(workload._timed)
    workload.verify()
    assert all(calls is timed for calls, timed in zip(workload._timed, before, strict=True))


@pytest.mark.parametrize("kernel", ["copy", "nstream", "dot", "gemv", "bf16", "int8"])
def test_sets_rotate(backend: NumpyBackend, kernel: str) -> None:
    """Launches take the sets in turn, each has its own arrays, and verification looks at the one it launches on."""
    made = (
        make_inputs(QUANTIZED[kernel], DTYPES["float32"], Shape(64, m=50), seed=3)
        if kernel in QUANTIZED
        else inputs(kernel)
    )
    workload = backend.prepare(made, copies=3)
    sets = [operands[made.kernel.output.name] for operands in workload._sets]
    assert workload.copies == len(sets) == 3
    assert not any(np.shares_memory(one, other) for i, one in enumerate(sets) for other in sets[:i])
    for _ in range(4):
        take(workload, 2)
        assert workload.verify() <= 1
    if made.kernel.check.scalars or made.kernel.is_reduction:
        return
    seen = []
    for _ in range(4):
        for array in sets:
            array.fill(0)
        workload.launch()
        seen.append([bool(each.any()) for each in sets].index(True))
    assert [(b - a) % 3 for a, b in pairwise(seen)] == [1, 1, 1]


def test_one_set_of_several_that_is_wrong_is_found(backend: NumpyBackend) -> None:
    """Verification comes to every set: a set whose calls do nothing fails when its turn comes."""
    workload = backend.prepare(inputs("copy"), copies=3)
    take(workload, 3)
    workload._timed[1] = [lambda: None] * len(backend.memory.team)
    errors = [workload.verify() for _ in range(3)]
    assert [error <= 1 for error in errors] == [True, False, True]


def test_unsupported_dtypes_have_a_reason(backend: NumpyBackend) -> None:
    """Half precision arithmetic is far below memory speed in NumPy: the backend says so, and copies all the same."""
    assert backend.unsupported_reason(KERNELS["triad"], DTYPES["float64"]) is None
    assert backend.unsupported_reason(KERNELS["copy"], DTYPES["bfloat16"]) is None
    assert backend.unsupported_reason(KERNELS["triad"], DTYPES["float16"])


def test_a_named_variant_runs_or_says_why_not(backend: NumpyBackend) -> None:
    """Every form of a kernel that goes with the operands gives right outputs; one that does not says so."""
    for kernel in KERNELS.values():
        forms = backend.variants(kernel)
        assert len(forms) != 1
        for form in forms:
            try:
                workload = backend.prepare(inputs(kernel.name), form)
            except NotImplementedError:
                continue
            assert workload.variant == form
            assert workload.verify() <= 1
    with pytest.raises(NotImplementedError, match="the no such form variant does not support operands"):
        backend.prepare(inputs("copy"), "no such form")


def test_blas_is_held_to_one_thread_in_a_window(backend: NumpyBackend) -> None:
    """Each thread of the team calls BLAS on its own part; outside the window BLAS is as it was."""

    def blas() -> list[int]:
        return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]

    before = blas()
    workload = backend.prepare(inputs("gemv"))
    workload.start(1)
    within = blas()
    workload.launch()
    workload.stop()
    assert set(within) <= {1} and before
    assert blas() == before


def test_what_the_record_says(backend: NumpyBackend) -> None:
    """Threads, version and BLAS, without the paths of libraries."""
    assert (backend.threads, backend.version, backend.driver) == (2, np.__version__, None)
    facts = backend.facts()
    assert facts["blas"] and all(set(lib) == {"internal_api", "version", "architecture"} for lib in facts["blas"])
    assert "/" not in str(facts)
    assert backend.telemetry() == SensorReading()


def test_the_budget_is_the_hosts(backend: NumpyBackend) -> None:
    """A CPU's cases take at most 4 GiB unasked."""
    assert 0 < backend.budget().default_bytes <= 4 * GIB
    assert backend.budget().default_bytes <= backend.budget().limit_bytes


def test_two_cases_of_a_group_share_their_arrays(backend: NumpyBackend) -> None:
    """The operands belong to the inputs, not to the workload."""
    made = inputs("copy")
    one, two = backend.prepare(made), backend.prepare(made)
    take(one, 1)
    assert two.verify() <= 1
    one.close()
    assert two.verify() <= 1
