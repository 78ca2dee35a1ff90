"""What backends on a team share: which variants there are, and which of them a run measures unasked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bandmark.backends.host import HostMemory
from bandmark.backends.numba_backend import NumbaBackend
from bandmark.backends.numpy_backend import NumpyBackend
from bandmark.backends.team import Team
from bandmark.backends.team_backend import TeamBackend
from bandmark_kernels import DTYPES, KERNELS, Shape
from bandmark_kernels.core.checks import make_inputs
from fakes import make_machine


@pytest.fixture(scope="module", params=[NumpyBackend, NumbaBackend])
def backend(request: pytest.FixtureRequest) -> Iterator[TeamBackend]:
    """Each library on one thread."""
    with Team([0]) as team:
        yield request.param(make_machine().as_device(), HostMemory(team))


def test_default_variants_are_variants(backend: TeamBackend) -> None:
    """What runs unasked has a name that can be asked for, or is what the backend chooses."""
    for kernel in KERNELS.values():
        names = backend.variants(kernel)
        assert set(backend.default_variants(kernel)) <= {None, *names} and len(set(names)) == len(names)


def test_a_mode_runs_under_its_name(backend: TeamBackend) -> None:
    """Of a kernel with modes each is prepared by name, and without one the first; an unknown one is refused."""
    inputs = make_inputs(KERNELS["write"], DTYPES["float64"], Shape(1000), seed=1)
    names = backend.default_variants(KERNELS["write"])
    assert [backend.prepare(inputs, name).variant for name in names] == list(names)
    assert backend.prepare(inputs).variant == names[0]
