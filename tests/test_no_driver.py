"""A CuPy that is there without a usable GPU, for want of a driver or since it is broken, is explained once.

The packages are pretended, and raise what CuPy 14.2 raises; the commands run in processes of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bandmark.backends import discovery
from bandmark.backends.select import open_target
from bandmark.cli.app import main
from bandmark.errors import BackendUnavailable, first_line
from cupy_gpu import Gpu
from cupy_standin import StandIn, install
from fakes import FakeBackend, make_machine

NO_DRIVER = """
from types import SimpleNamespace
__version__ = "14.2.0"
class CUDARuntimeError(RuntimeError):
    status = 35
def refuse(*_):
    raise CUDARuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version")
cuda = SimpleNamespace(runtime=SimpleNamespace(CUDARuntimeError=CUDARuntimeError, getDeviceCount=refuse))
"""

BROKEN = """
try:
    raise ImportError("/home/someone/env/cupy/_core/core.so: file too short")
except ImportError as exc:
    raise ImportError(f'''
================================================================
Failed to import CuPy.

If you installed CuPy via wheels (cupy-cudaXXX or cupy-rocm-X-X), make sure that the package matches.

Original error:
  {type(exc).__name__}: {exc}
================================================================
''') from exc
"""

NO_LIBRARY = 'raise OSError("libcuda.so.1: cannot open shared object file: No such file or directory")'

KINDS = {
    "no driver": (NO_DRIVER, "CuPy 14.2.0 finds no usable NVIDIA driver (cudaErrorInsufficientDriver: CUDA driver"),
    "broken": (BROKEN, "cupy is installed but can't be imported (ImportError: core.so: file too short)"),
    "no library": (NO_LIBRARY, "cupy is installed but can't be imported (OSError: libcuda.so.1: cannot open shared"),
}


@pytest.fixture(
    params=["no driver", *(pytest.param(name, marks=pytest.mark.slow) for name in ("broken", "no library"))]
)
def kind(request: pytest.FixtureRequest) -> Any:
    """A way in which CuPy is there and of no use."""
    return request.param


def call(folder: Path, kind: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command with a pretend CuPy."""
    package = folder / "cupy"
    package.mkdir()
    (package / "__init__.py").write_text(KINDS[kind][0])
    return subprocess.run(
        [sys.executable, "-m", "bandmark", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])},
    )


def plain(text: str) -> str:
    """A text without its line breaks."""
    return " ".join(text.split())


def test_a_run_falls_back_to_the_cpu(tmp_path: Path, kind: str) -> None:
    """`bandmark run` measures NumPy, says once why no GPU is measured and how to change that, and fails at nothing."""
    small = ("--quick", "--kernel", "copy", "--dtype", "float32", "--size", "32KiB", "--time-limit", "0.4")
    done = call(tmp_path, kind, "run", *small, "--output", "-")
    assert done.returncode in (0, 3), done.stderr  # 3: the machine is too busy for an ok row
    notes = [note for note in plain(done.stderr).split("note: ") if "cupy" in note.lower()]
    assert len(notes) == 1
    assert notes[0].startswith(f"No GPU is measured: {KINDS[kind][1]}")
    assert "pip install 'cupy-cuda" in notes[0]
    assert notes[0].rstrip().endswith(".") and "/home/" not in notes[0]
    assert "Traceback" not in done.stderr
    assert ",numpy,copy," in done.stdout and ",cupy," not in done.stdout


@pytest.mark.parametrize(
    "options", [("--backend", "cupy"), ("--backend", "cupy", "--device", "cuda"), ("--device", "cuda")]
)
def test_what_was_asked_for_is_an_error(tmp_path: Path, kind: str, options: tuple[str, ...]) -> None:
    """Asked for by name, a GPU that can't be used is exit code 2, with what is missing and how to get it."""
    done = call(tmp_path, kind, "run", *options)
    assert done.returncode == 2
    assert KINDS[kind][1] in plain(done.stderr)
    assert "pip install 'cupy-cuda" in plain(done.stderr)
    assert "Traceback" not in done.stderr and done.stdout == ""
    assert not list(tmp_path.glob("*.csv"))


@pytest.mark.parametrize("arguments", [("devices",), ("list", "--probe")])
def test_looking_around_tells_it_too(tmp_path: Path, kind: str, arguments: tuple[str, ...]) -> None:
    """`devices` and `list --probe` say why CuPy can't be used, and succeed."""
    done = call(tmp_path, kind, *arguments)
    assert done.returncode == 0, done.stderr
    assert KINDS[kind][1] in plain(done.stdout)


def test_the_self_test_needs_a_gpu(tmp_path: Path, kind: str) -> None:
    """Without one it is exit code 2, with what is missing and how to get it, and leaves no file."""
    done = call(tmp_path, kind, "selftest")
    assert done.returncode == 2
    assert KINDS[kind][1] in plain(done.stderr) and "pip install 'cupy-cuda" in plain(done.stderr)
    assert not list(tmp_path.glob("*.txt"))


def test_no_compiler_is_an_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With a GPU that nothing can be compiled for, and no other library that reaches it, the run says what to get."""
    install(monkeypatch, StandIn(Gpu(compile_log="Failed to find CUDA headers")))
    assert main(["run"]) == 2
    said = plain(capsys.readouterr().err)
    assert (
        "CuPy can't compile for NVIDIA RTX PRO 5000 Blackwell (CompileException: Failed to find CUDA headers)" in said
    )
    assert "pip install 'cupy-cuda13x[ctk]'" in said


def test_another_library_goes_on_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torch reaches the same GPU, it is measured with torch and a note; asked for by name it is an error."""
    install(monkeypatch, StandIn(Gpu(compile_log="Failed to find CUDA headers")))
    real = discovery.importlib.import_module
    pretended = {
        "bandmark.backends.torch_backend": lambda: SimpleNamespace(
            list_accelerators=real("bandmark.backends.cupy_backend").list_accelerators,
            open_accelerator=lambda address, device: FakeBackend(name="torch", device=device, memory_name=address),
        ),
    }
    monkeypatch.setattr(discovery.importlib, "import_module", lambda name: pretended.get(name, lambda: real(name))())
    target = open_target(make_machine())
    assert [backend.name for backend in target.backends] == ["torch"]
    assert len(target.notes) == 2 and "nvidia-ml-py" in target.notes[1]
    assert "Failed to find CUDA headers" in target.notes[0] and target.notes[0].endswith("Going on without it.")
    with pytest.raises(BackendUnavailable, match="Failed to find CUDA headers"):
        open_target(make_machine(), names=["cupy", "torch"])


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("", "no message"),
        ("\n====\n\n  what it is\nmore", "what it is"),
        ("can't open /usr/lib/x86/libcuda.so.1: no", "can't open libcuda.so.1: no"),
        ("bytes/time is 3 / 4", "bytes/time is 3 / 4"),
    ],
)
def test_the_line_that_says_something(message: str, line: str) -> None:
    """Rulers and empty lines say nothing, and folders are nobody's business."""
    assert first_line(RuntimeError(message)) == line


def test_what_an_import_failed_at() -> None:
    """A failed import that explains itself at length is told by what it failed at; other errors by themselves."""
    for kind, line in ((ImportError, "core.so: file too short"), (RuntimeError, "a long explanation")):
        error = kind("=====\na long explanation")
        error.__cause__ = OSError("/usr/lib/core.so: file too short")
        assert first_line(error) == line
