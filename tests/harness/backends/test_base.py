"""Every backend has what the interface between kernels and harness asks for."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from bandmark.backends.base import Backend, Workload
from bandmark.backends.numpy_backend import NumpyBackend
from bandmark.backends.team_backend import TeamWorkload as _NumpyWorkload
from bandmark.backends.torch_backend import TorchBackend
from bandmark.backends.torch_backend import _Workload as _TorchWorkload
from fakes import FakeBackend, FakeWorkload


def methods(protocol: type) -> list[str]:
    """The methods of a protocol and of those it rests on."""
    return [name for name, _ in inspect.getmembers(protocol, inspect.isfunction) if not name.startswith("_")]


@pytest.mark.parametrize("backend", [NumpyBackend, TorchBackend, FakeBackend])
def test_backends_have_the_methods(backend: type) -> None:
    """A backend has every method of the interface, with the same parameters."""
    for name in methods(Backend):
        wanted = list(inspect.signature(getattr(Backend, name)).parameters)
        assert list(inspect.signature(getattr(backend, name)).parameters) == wanted, name


@pytest.mark.parametrize("workload", [_NumpyWorkload, _TorchWorkload, FakeWorkload])
def test_workloads_have_the_methods(workload: type) -> None:
    """A workload can be started, launched, stopped, verified and closed (launch may be bound when it is made)."""
    assert set(methods(Workload)) == {"start", "launch", "stop", "verify", "close"}
    for name in set(methods(Workload)) - {"launch"}:
        assert callable(getattr(workload, name))


def test_names_and_versions() -> None:
    """A backend has the name of its library and the version that is installed."""
    assert (NumpyBackend.name, NumpyBackend.version) == ("numpy", np.__version__)
    assert TorchBackend.name == "torch" and TorchBackend.version.startswith("2.")
