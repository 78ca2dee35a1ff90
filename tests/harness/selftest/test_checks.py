"""The self-test finds a device whose kernels are wrong, and its page names nobody."""

from __future__ import annotations

import getpass
import socket
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bandmark.cli import selftest as command
from bandmark.cli.app import main
from bandmark.measure.sampling import StopRule
from bandmark.selftest.checks import Check, _awkward_shapes, check_results
from bandmark.selftest.timing import Timing
from bandmark_kernels import DTYPES, KERNELS, QUANTIZED, Shape
from bandmark_kernels.core.cuda import launches, program, variants
from cupy_gpu import GIB, Gpu
from cupy_launch import Launched
from cupy_sensors import Sensors
from cupy_standin import StandIn, install, open_backend

F32, BF16 = DTYPES["float32"], DTYPES["bfloat16"]


def checks(monkeypatch: pytest.MonkeyPatch, gpu: Gpu, *kernels: str, dtypes: Any = (F32,)) -> dict[str, Check]:
    """The checks of the results by name."""
    backend = open_backend(monkeypatch, StandIn(gpu))
    return {c.name: c for c in check_results(backend, [KERNELS[k] for k in kernels], dtypes)}


@pytest.mark.parametrize("name", [pytest.param(k, marks=[pytest.mark.slow] if k == "kv" else []) for k in KERNELS])
def test_a_sound_device_passes(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Every dtype and variant is verified at every awkward size."""
    found = checks(monkeypatch, Gpu(sms=1), name, dtypes=list(DTYPES.values()))
    assert all(check.passed for check in found.values())
    forms = len(KERNELS[name].dtypes) * len(variants(KERNELS[name], (12, 0)))
    sizes = {"gemv": 8, "attention": 14}.get(KERNELS[name].suite, 7)  # attention with scores far below zero, too
    assert (
        found[name].result
        == f"{forms * sizes} right, worst error {found[name].result.split()[4]} {forms} compiled kernels"
    )
    assert found["registers"].result == f"0 of {forms} compiled kernels spill"


@pytest.mark.parametrize("name", KERNELS)
def test_a_broken_kernel_fails(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A kernel that does nothing fails at every size, the first three are named, and the file gets all."""
    found = checks(monkeypatch, Gpu(sms=1, wrong={f"bandmark_{name}"}), name)
    check = found[name]
    assert check.passed is False
    (dtype, *_) = KERNELS[name].dtypes_among([F32])
    assert f"{dtype.name} v16" in check.result and "wrong by" in check.result
    assert f"and {len(check.details) - 3} more" in check.result
    assert len(check.details) == int(check.result.split()[0]) > 10


@pytest.mark.parametrize(("name", "size"), [("copy", 33), ("dot", 31), ("triad", 100_003)])
def test_one_wrong_size_is_enough(monkeypatch: pytest.MonkeyPatch, name: str, size: int) -> None:
    """A kernel that is wrong at a single size fails, and that size is named in every form."""
    found = checks(monkeypatch, Gpu(sms=1, wrong_if=lambda launch: int(launch.values.get("n", 0)) == size), name)
    assert found[name].passed is False
    assert {failure.split(": ")[0].split()[-1] for failure in found[name].details} == {f"n={size}"}


def test_one_wrong_variant_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A form that alone is wrong is named with its dtype and variant."""
    gpu = Gpu(sms=1)
    backend = open_backend(monkeypatch, StandIn(gpu))
    real = backend.prepare

    def prepare(inputs: Any, variant: str, copies: int) -> Any:
        gpu.wrong = {"bandmark_add"} if (inputs.dtype, variant) == (BF16, "v32") else set()
        return real(inputs, variant, copies)

    monkeypatch.setattr(backend, "prepare", prepare)
    check, registers = check_results(backend, [KERNELS["add"]], [F32, BF16])
    assert check.passed is False and registers.passed
    assert len(check.details) == 7
    assert all(failure.startswith("bfloat16 v32 n=") for failure in check.details)


def test_spilled_registers_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Local memory is traffic that nobody counted."""
    found = checks(monkeypatch, Gpu(sms=1, local_bytes=16), "copy")
    assert found["copy"].passed and found["registers"].passed is False
    assert "copy float32 v16: 16 bytes a thread" in found["registers"].details


def test_what_does_not_compile_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that the device's compiler refuses is a failure with the compiler's words."""
    gpu = Gpu(sms=1)
    backend = open_backend(monkeypatch, StandIn(gpu))
    gpu.compile_log = "copy.cu(3): error: what"
    check, _ = check_results(backend, [KERNELS["copy"]], [F32])
    assert check.passed is False
    assert check.details[0] == "float32 v16: CompileException: copy.cu(3): error: what"


def test_a_lost_device_fails_everything_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA's error is the reason, of this kernel and of all that follow."""
    gpu = Gpu(sms=1)

    def law(launch: Launched) -> float:
        gpu.lost = launch.entry == "bandmark_add"
        return 1e-6

    gpu.law = law
    found = checks(monkeypatch, gpu, "copy", "add", "triad")
    assert [found[k].passed for k in ("copy", "add", "triad")] == [True, False, False]
    assert "CUDARuntimeError: cudaErrorLaunchFailure" in found["triad"].result


@pytest.mark.parametrize("variant", ["v16", "v32", "v16-gridstride"])
def test_vector_sizes_are_awkward(variant: str) -> None:
    """Nothing but a tail, around a warp and a tile, a prime, and more than the device holds at once."""
    made = program(KERNELS["copy"], F32, variant, capability=(12, 0))
    sizes = [shape.n for shape in _awkward_shapes(made, 10)]
    tile = made.layout.threads * made.layout.unroll * made.lanes
    assert sizes[:6] == [1, 31, 33, tile - 1, tile + 1, 100_003]
    assert sizes[6] > 10 * made.layout.blocks_per_sm * tile and sizes[6] % 2


def test_matrix_sizes_are_awkward() -> None:
    """One element, odd rows and columns, whole and ragged packs, few long rows and many short ones."""
    shapes = _awkward_shapes(program(KERNELS["gemv"], F32, "v16", capability=(12, 0)), 10)
    assert Shape(1, m=1) in shapes
    assert any(s.n % 2 and s.m and s.m % 2 for s in shapes)
    assert any(s.n % 8 == 0 for s in shapes) and any(s.m and s.m > 5000 for s in shapes)


def test_quantized_sizes_are_awkward() -> None:
    """Rows around those of a block, columns around a tile, and both the split path and the other."""
    made = program(QUANTIZED["nvfp4"], F32, "v16", capability=(9, 0))
    shapes = _awkward_shapes(made, 132)
    assert {1, 15, 16, 17, 2053} <= {shape.m for shape in shapes}
    tile = 32 * made.layout.unroll * made.lanes
    assert {64, 192, tile - 64, tile, tile + 64, 4096 + 64} <= {shape.n for shape in shapes}
    assert {len(launches(made, shape, sm_count=132).steps) for shape in shapes} == {1, 2}


def test_formats_are_checked_beside_their_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The self-test of gemv takes every format of weights, that of kv every format of a cache, each once."""
    labels = [kernel.label for kernel in command._with_formats([KERNELS["copy"], KERNELS["gemv"], KERNELS["kv"]])]
    assert labels == ["copy", "gemv", *(k.label for k in QUANTIZED.values()), "kv", "kv fp8"]
    backend = open_backend(monkeypatch, StandIn(Gpu(sms=1)))
    (check, _) = check_results(backend, [QUANTIZED["int4"]], [F32])
    assert check.passed and check.name == "gemv int4"


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Run the command on a pretend device in an empty folder, timed by its virtual clock."""
    monkeypatch.chdir(tmp_path)

    def run(gpu: Gpu, *arguments: str) -> int:
        cupy = StandIn(gpu)
        install(monkeypatch, cupy, Sensors(nvmlDeviceGetClockInfo=2400))
        rule = StopRule(warmup_s=0.01, max_warmup_s=0.05)
        monkeypatch.setattr(command, "Timing", partial(Timing, clock=lambda: cupy.now, rule=rule))
        return main(["selftest", "--kernel", "copy,dot", "--dtype", "float32", "--size", "64KiB", *arguments])

    return run


def sound(**changes: Any) -> Gpu:
    """A device that passes."""
    return Gpu(
        **{"law": lambda launch: 2e-7 + launch.array_bytes / 1e9, "l2_bytes": 1024, "sms": 1, "tick_s": 1e-6} | changes
    )


def test_the_page_of_a_sound_device(page: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0; device, versions and every check stand on one page, and in a file with the details."""
    assert page(sound()) == 0
    out, err = capsys.readouterr()
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("bandmark-selftest-") and file.suffix == ".txt" and file.name in " ".join(err.split())
    text = file.read_text()
    assert text.startswith(out.rstrip("\n"))
    for words in ("NVIDIA RTX PRO 5000 Blackwell, compute capability 12.0", "CuPy 14.2.0", "peak      1344 GB/s"):
        assert words in out
    assert out.count("PASS") == 14 and "FAIL" not in out
    assert out.splitlines()[-1] == "14 of 14 checks passed"
    assert len(out.splitlines()) < 60
    assert "copy          v16 " in text
    for name in (getpass.getuser(), socket.gethostname(), str(tmp_path), "0000:01:00.0"):
        assert name not in text


def test_the_page_of_a_broken_device(page: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1; each failed check says what was seen and what would have passed, and the last line names them."""
    assert page(sound(wrong={"bandmark_dot"}), "--output", "report.txt") == 1
    out = capsys.readouterr().out
    assert "FAIL  dot " in out
    assert "expected: every output within the tolerance (1.0) of its float64 reference" in out
    assert out.splitlines()[-1] == "12 of 14 checks passed; FAILED: dot, variants"
    assert (tmp_path / "report.txt").read_text().count("float32 v16 n=") >= 7


def test_private_words_stay_out(
    page: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an error message says of the machine or its user does not get on the page."""
    monkeypatch.setattr(socket, "gethostname", lambda: "wopr")
    gpu = sound()

    def law(launch: Launched) -> float:
        if launch.entry == "bandmark_dot":
            raise RuntimeError("cache of someone@example.org on wopr is full")
        return 1e-6 + launch.array_bytes / 1e9

    gpu.law = law
    assert page(gpu, "--output", "report.txt") == 1
    for text in (capsys.readouterr().out, (tmp_path / "report.txt").read_text()):
        assert "is full" in text and "someone" not in text and "wopr" not in text


def test_a_device_that_fails_while_timed(page: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """What goes wrong during the timing checks is a failed check with its reason, and the page is still written."""
    gpu = sound()

    def law(launch: Launched) -> float:
        gpu.lost = launch.entry == "bandmark_write"
        return 1e-6

    gpu.law = law
    assert page(gpu) == 1
    assert "FAIL  timing             CUDARuntimeError: cudaErrorLaunchFailure" in capsys.readouterr().out


def test_no_file_is_replaced(page: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An existing file is refused before anything runs."""
    (tmp_path / "mine.txt").write_text("mine")
    assert page(sound(), "--output", "mine.txt") == 2
    assert "mine.txt exists" in capsys.readouterr().err
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert page(sound(), "--output", "no/such/folder.txt") == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--kernel", "triadd"), "unknown kernel 'triadd'. Did you mean 'triad'?"),
        (("--dtype", "float31"), "unknown dtype 'float31'"),
        (("--size", "1000GiB"), "--size 1000 GiB needs"),
        (("--device", "cuda:7"), "there is no device 'cuda:7'"),
    ],
)
def test_bad_usage(page: Any, arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Names and sizes that are not accepted are exit code 2, with what is."""
    assert page(sound(memory_bytes=4 * GIB), *arguments) == 2
    assert words in capsys.readouterr().err
