"""Find the libraries that are installed, and the accelerators that they reach.

Libraries are imported only when a run or a probe needs them: torch alone takes longer to import than most commands run.
A backend is a module `<library>_backend` with `open_on_cpu(device, memory)` if it runs on the CPU, and with
`list_accelerators()` and `open_accelerator(address, device)` if it reaches accelerators.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bandmark.errors import describe

if TYPE_CHECKING:
    from bandmark.device.device import Device


@dataclass(frozen=True, slots=True, kw_only=True)
class _Library:
    """What a backend's library reaches, and how to get it."""

    on_cpu: bool
    accelerators: bool
    install: str = ""


LIBRARIES = {
    "numpy": _Library(on_cpu=True, accelerators=False),
    "numba": _Library(on_cpu=True, accelerators=False, install="`pip install numba`"),
    "torch": _Library(
        on_cpu=True,
        accelerators=True,
        install="`pip install torch` on an NVIDIA GPU, `uv pip install --torch-backend=cpu torch` elsewhere",
    ),
    "cupy": _Library(
        on_cpu=False,
        accelerators=True,
        install="`pip install 'cupy-cuda13x[ctk]'`, or 'cupy-cuda12x[ctk]' for a CUDA 12 driver",
    ),
}
"""The libraries that kernels have implementations for."""

BACKENDS = tuple(LIBRARIES)

OPENMP_WAITS = {"GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "1"}
"""How long the threads of an OpenMP library wait for more work before they sleep, on the processors of the library
that is measured next: some 0.5 ms and 1 ms, where GNU's usually spin for 10 ms and LLVM's for 200 ms."""

# CuPy is asked before torch: it reads the attributes that tell colliding names apart.
ACCELERATOR_BACKENDS = tuple(name for name in reversed(BACKENDS) if LIBRARIES[name].accelerators)


def is_installed(name: str) -> bool:
    """Return whether a library is installed, without importing it."""
    return importlib.util.find_spec(name) is not None


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A device that is not the CPU, with its address (cuda:0) and the libraries that reach it."""

    address: str
    device: Device
    backends: tuple[str, ...]


@dataclass(slots=True)
class Discovery:
    """What the installed libraries see."""

    accelerators: list[Accelerator] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    """Why a library, or its accelerators, can't be used: one sentence by backend."""
    unlisted: set[str] = field(default_factory=set)
    """The libraries that fail when they are asked for their accelerators."""
    modules: dict[str, Any] = field(default_factory=dict)
    """The backends' modules that could be imported."""

    def hidden_gpus(self) -> list[str]:
        """Return why there may be a GPU that is not seen, by libraries for GPUs and those that fail to list any."""
        may_hide = [name for name in self.problems if not LIBRARIES[name].on_cpu and is_installed(name)]
        return [why for name, why in self.problems.items() if name in self.unlisted or name in may_hide]


def discover(names: Sequence[str] = ACCELERATOR_BACKENDS) -> Discovery:
    """Import the libraries that are installed and ask each for its accelerators."""
    discovery = Discovery()
    by_address: dict[str, Accelerator] = {}
    for name in names:
        for address, device in _list_accelerators(name, discovery):
            known = by_address.get(address, Accelerator(address, device, ()))
            by_address[address] = Accelerator(address, known.device, (*known.backends, name))
    discovery.accelerators = list(by_address.values())
    return discovery


def _list_accelerators(name: str, discovery: Discovery) -> list[tuple[str, Device]]:
    module = import_backend(name, discovery)
    if module is None or not LIBRARIES[name].accelerators:
        return []
    try:
        devices, problem = module.list_accelerators()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a driver or a library that is not as it should be; the reason is kept
        discovery.unlisted.add(name)
        discovery.problems[name] = (
            f"{name} can't list its devices ({describe(error)}); see whether the driver works and what holds the "
            "device (`nvidia-smi`)"
        )
        return []
    if problem:
        discovery.problems[name] = problem
    return list(devices)


@contextmanager
def _short_waits() -> Iterator[None]:
    """Let OpenMP libraries that are loaded meanwhile wait for work as OPENMP_WAITS says, unless the user has a say."""
    if any(name in os.environ for name in ("OMP_WAIT_POLICY", *OPENMP_WAITS)):
        yield
        return
    os.environ.update(OPENMP_WAITS)
    try:
        yield
    finally:
        for name in OPENMP_WAITS:
            os.environ.pop(name, None)


def import_backend(name: str, discovery: Discovery) -> Any:
    """Return a backend's module, which imports its library, or None with a problem noted.

    It is tried once: after a failure the second import of a library can fail in another way.
    """
    if name in discovery.modules or name in discovery.problems:
        return discovery.modules.get(name)
    install = LIBRARIES[name].install
    if not is_installed(name):
        discovery.problems[name] = f"{name} is not installed; {install}"
        return None
    try:
        with _short_waits():
            discovery.modules[name] = importlib.import_module(f"bandmark.backends.{name}_backend")
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a broken installation can raise anything; the reason is kept
        discovery.problems[name] = (
            f"{name} is installed but can't be imported ({describe(error)}); install it anew: {install}"
        )
    return discovery.modules.get(name)
