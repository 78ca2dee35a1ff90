"""What the installed libraries see, on pretend installations."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bandmark.backends import discovery
from bandmark.backends.discovery import discover, is_installed
from bandmark.device.device import Device
from installation import Installation


def test_cupys_facts_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both libraries see the same device; CuPy reads more of it."""
    here = Installation(monkeypatch)
    spark = Device(kind="gpu", name="NVIDIA GB10", index=0, memory_bytes=128 * 10**9, integrated=True)
    here.add("cupy", [("cuda:0", spark)])
    here.add("torch", [("cuda:0", Device(kind="gpu", name="NVIDIA GB10", index=0))])
    (accelerator,) = discover().accelerators
    assert accelerator.device is spark and accelerator.backends == ("cupy", "torch")


class PanicException(BaseException):
    """What extensions written in Rust raise (pyo3)."""


@pytest.mark.parametrize("kind", [ImportError, SystemExit, PanicException])
def test_a_library_that_fails_is_imported_once(monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]) -> None:
    """A library whose import fails is a problem with its reason and remedy, and the others are asked all the same."""
    here = Installation(monkeypatch)
    here.libraries["cupy"] = kind("libcudart.so.13: cannot open shared object file")
    here.add("torch", [("cuda:0", Device(kind="gpu", name="NVIDIA GB10", index=0))])
    found = discover(["cupy", "torch", "cupy"])
    assert [a.backends for a in found.accelerators] == [("torch",)]
    assert f"{kind.__name__}: libcudart.so.13" in found.problems["cupy"] and "pip install" in found.problems["cupy"]
    assert here.asked.count("bandmark.backends.cupy_backend") == 1


def test_what_is_installed_is_found_without_importing_it() -> None:
    """A name that no package has is not installed."""
    assert is_installed("numpy")
    assert not is_installed("no_such_library")


@pytest.mark.parametrize("policy", [None, "active"])
def test_openmp_waits_shortly(monkeypatch: pytest.MonkeyPatch, policy: str | None) -> None:
    """A library is imported with short waits, unless the user chose a policy; the environment is as before."""
    for name in ("OMP_WAIT_POLICY", *discovery.OPENMP_WAITS):
        monkeypatch.delenv(name, raising=False)
    if policy:
        monkeypatch.setenv("OMP_WAIT_POLICY", policy)
    before = dict(os.environ)
    with discovery._short_waits():
        waits = {name: os.environ.get(name) for name in discovery.OPENMP_WAITS}
        assert waits == (dict.fromkeys(waits) if policy else discovery.OPENMP_WAITS)
    assert dict(os.environ) == before


def test_a_numba_that_lacks_parts_is_found_when_it_is_opened(tmp_path: Path) -> None:
    """Half an installation is a problem with a remedy, and not an error in each row."""
    (tmp_path / "numba").mkdir()
    (tmp_path / "numba/__init__.py").write_text("__version__ = '0.68.1'\n")
    code = "from bandmark.backends.discovery import *; d = Discovery(); import_backend('numba', d); print(d.problems)"
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    run = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=True
    )
    assert "numba is installed but can't be imported" in run.stdout and "pip install numba" in run.stdout
