"""Does the CuPy backend choose, compile, budget and survive as it should? On a stand-in with a virtual clock."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest

from bandmark.device import sensors as sensors_module
from bandmark.errors import BackendUnavailable, UsageError
from bandmark.options import RunOptions
from bandmark.results.row import Row
from bandmark.session.session import run_session
from bandmark.suites.selection import pick_kernels
from bandmark_kernels import DTYPES, KERNELS, QUANTIZED, Shape
from bandmark_kernels.core.checks import make_inputs
from cupy_errors import CUDADriverError, CUDARuntimeError
from cupy_gpu import GIB, MIB, Gpu
from cupy_launch import Launched, Module
from cupy_sensors import Sensors
from cupy_standin import StandIn, install, open_backend

F32 = DTYPES["float32"]

SPARK: dict[str, Any] = {
    "name": "NVIDIA GB10",
    "capability": (12, 1),
    "bus_bits": 256,
    "memory_khz": 8533000,
    "integrated": 1,
}


def inputs_of(name: str, elements: int = 10_007) -> Any:
    """The inputs of a small float32 case."""
    return make_inputs(KERNELS[name], F32, Shape(elements), seed=1)


def rows_of(
    monkeypatch: pytest.MonkeyPatch, cupy: StandIn, sensors: Sensors | None = None, **options: Any
) -> list[Row]:
    """The rows of a whole run with the CuPy backend."""
    install(monkeypatch, cupy, sensors)
    plain: dict[str, Any] = {"backends": ("cupy",), "quick": True, "size_bytes": 64 * 1024}
    return run_session(RunOptions(**(plain | options))).rows()


def step_seconds(launch: Launched | str) -> float:
    """A time of its own for each entry point, none of which is round."""
    entry = launch if isinstance(launch, str) else launch.entry
    return 1.234567e-3 + 1e-5 * (sum(map(ord, entry)) % 97)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bandwidths_are_the_programmed_ones(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    """Through the whole run, every kernel's bandwidth is bytes over programmed time, and every row is verified."""
    cupy = StandIn(Gpu(step_seconds))
    rows = rows_of(monkeypatch, cupy, kernels=("all",), dtypes=(dtype,))
    wanted = [(k.label, d.name) for k in pick_kernels(["all"]) for d in k.dtypes_among([DTYPES[dtype]])]
    measured = [(" ".join(filter(None, (row.kernel, row.weight_format))), row.dtype) for row in rows]
    assert sorted(measured) == sorted(wanted)
    seconds = {entry: step_seconds(entry) for entry in cupy.entries}
    for row in rows:
        mine = {e for e in seconds if e.removesuffix("_finish").removesuffix("_ragged") == f"bandmark_{row.kernel}"}
        truth = row.bytes_moved / sum(seconds[entry] for entry in mine) / 1e9
        assert (row.verified, row.status, row.backend) == (True, "ok", "cupy"), (row.kernel, row.reason)
        assert row.bandwidth_gbs == pytest.approx(truth, rel=1e-6)
        assert row.variant == "v16"
        assert row.clock_mhz == pytest.approx(2400, rel=1e-3)


def test_packed_weights_are_measured_in_every_format(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every format of weights gives a verified row with its own bytes, compiled with its own macros."""
    cupy = StandIn(Gpu(step_seconds))
    rows = rows_of(monkeypatch, cupy, kernels=("gemv",), dtypes=("float32",), weights=tuple(QUANTIZED))
    assert [row.weight_format for row in rows] == list(QUANTIZED)
    assert all((row.status, row.verified) == ("ok", True) for row in rows), [row.reason for row in rows]
    assert [row.variant for row in rows] == ["v16"] * 5 + ["v16-fp4"] * 2
    formats = [o.split("=")[1] for _, _, options in cupy.compiled for o in options if o.startswith("-DWEIGHTS=")]
    assert formats == list(QUANTIZED)
    assert "bandmark_quantized" in cupy.entries
    for row in rows:
        assert row.weight_format and row.n_elements and row.m
        kernel = QUANTIZED[row.weight_format]
        shape = Shape(row.n_elements // row.m, row.m)
        assert (row.bytes_read, row.bytes_written) == (kernel.bytes_read(shape, F32), kernel.bytes_written(shape, F32))


@pytest.mark.parametrize(
    ("gpu", "variant", "conversion"),
    [
        (Gpu(), "v16-fp4", r"native"),
        (Gpu(capability=(9, 0)), "v16", r"the device has no instruction that converts e2m1"),
        (
            Gpu(refused_option="-arch=sm_120a"),
            "v16",
            r"-arch=sm_120a: CompileException: nvrtc: error: invalid value for --gpu-architecture \(-arch=sm_120a\)",
        ),
    ],
    ids=["native", "old device", "old compiler"],
)
def test_fp4_is_converted_natively_where_that_compiles(
    monkeypatch: pytest.MonkeyPatch, gpu: Gpu, variant: str, conversion: str
) -> None:
    """The device's own architecture is tried once; the row's variant says what ran, and the record why."""
    cupy = StandIn(gpu)
    backend = open_backend(monkeypatch, cupy)
    for name in ("nvfp4", "mxfp4"):
        kernel = QUANTIZED[name]
        assert backend.variants(kernel)[0] == variant
        assert backend.variants(kernel)[-3:] == backend.variants(QUANTIZED["int4"])[-3:]
        workload = backend.prepare(make_inputs(kernel, F32, Shape(256, 9), seed=1))
        assert (workload.variant, workload.verify() <= 1) == (variant, True)
    assert re.fullmatch(conversion, backend.facts()["fp4_conversion"])
    native = [
        options for _, _, options in cupy.compiled if f"-arch=sm_{gpu.capability[0]}{gpu.capability[1]}a" in options
    ]
    assert len(native) == (3 if variant == "v16-fp4" else 0)
    with pytest.raises(UsageError, match=r"gemv int4 has no variant 'v16-fp4' on this device; choose from v16, "):
        backend.prepare(make_inputs(QUANTIZED["int4"], F32, Shape(256, 9), seed=1), "v16-fp4")


def test_rotation_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row whose set is smaller than four L2 caches says over how many sets its launches rotate."""
    (row,) = rows_of(monkeypatch, StandIn(Gpu(l2_bytes=MIB)), kernels=("copy",), dtypes=("float32",))
    assert row.copies == 41
    assert row.reason == "launches rotate over 41 sets of the arrays"
    (row,) = rows_of(monkeypatch, StandIn(Gpu(l2_bytes=16 * 1024)), kernels=("copy",), dtypes=("float32",))
    assert (row.copies, row.reason) == (1, None)


def test_variants_are_rows_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default is always there; a variant that was asked for is compiled with its own macros and named."""
    cupy = StandIn()
    rows = rows_of(monkeypatch, cupy, kernels=("triad",), dtypes=("float32",), variants=("v32", "v16-gridstride"))
    assert [row.variant for row in rows] == ["v16", "v16-gridstride", "v32"]
    options = [set(options) for _, code, options in cupy.compiled if "bandmark_triad" in code]
    assert [("-DPACK_BYTES=32" in o, "-DGRID_STRIDE=1" in o) for o in options] == [
        (False, False),
        (True, False),
        (False, True),
    ]


def test_variants_follow_from_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """32-byte loads are offered from compute capability 10 on; what is not offered is refused with what is."""
    new = open_backend(monkeypatch, StandIn())
    assert new.variants(KERNELS["triad"]) == ("v16", "v32", "v16-stream", "v32-stream", "v16-gridstride")
    assert new.variants(KERNELS["dot"]) == ("v16", "v32", "v16-stream", "v32-stream")
    old = open_backend(monkeypatch, StandIn(Gpu(name="NVIDIA H100 80GB HBM3", capability=(9, 0))))
    assert old.variants(KERNELS["triad"]) == ("v16", "v16-stream", "v16-gridstride")
    with pytest.raises(UsageError, match="triad has no variant 'v32' on this device; choose from v16, v16-stream"):
        old.prepare(inputs_of("triad"), "v32")


def test_variants_of_newer_devices_are_rows_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for by name, bulk copies and 32-byte loads say what they need; a device that has them measures them."""
    old, new = (StandIn(Gpu(capability=c)) for c in ((8, 6), (9, 0)))
    asked = {"kernels": ("copy",), "dtypes": ("float32",), "variants": ("v16-bulk",)}
    default, bulk = rows_of(monkeypatch, old, **asked)
    assert (default.status, bulk.variant, bulk.status) == ("ok", "v16-bulk", "unsupported")
    assert bulk.reason == "v16-bulk needs compute capability 9.0, and this device has 8.6"
    assert [(row.variant, row.status) for row in rows_of(monkeypatch, new, **asked)] == [
        ("v16", "ok"),
        ("v16-bulk", "ok"),
    ]


def test_wide_loads_are_measured_beside_the_default_where_they_may_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a B200 and a B300 every kernel that has v32 runs it beside the default; elsewhere on request alone."""
    for capability, beside in (((10, 0), ("v32",)), ((10, 3), ("v32",)), ((12, 0), ()), ((9, 0), ())):
        backend = open_backend(monkeypatch, StandIn(Gpu(capability=capability)))
        assert backend.default_variants(KERNELS["triad"])[1:] == beside
        assert backend.default_variants(KERNELS["kv"])[1:] == ()
        assert backend.default_variants(QUANTIZED["nvfp4"])[1:] == tuple(f"{name}-fp4" for name in beside)


def test_old_compilers_have_no_wide_inline_ptx(monkeypatch: pytest.MonkeyPatch) -> None:
    """NVRTC 12.8 refuses .v8.b32, so variants that are written with it are not offered, and others are."""
    cupy = StandIn(Gpu(capability=(10, 0)))
    cupy.nvrtc = (12, 8)
    backend = open_backend(monkeypatch, cupy)
    assert backend.variants(KERNELS["copy"]) == ("v16", "v32", "v16-stream", "v16-gridstride", "v16-bulk")
    assert not any("v32" in name for name in backend.variants(QUANTIZED["int8"]))


def test_modules_are_compiled_once_per_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second case of the same kernel, dtype and variant takes no compiler; another device compiles for itself."""
    cupy = StandIn(Gpu(), Gpu())
    backend = open_backend(monkeypatch, cupy)
    backend.prepare(inputs_of("add"))
    before = len(cupy.compiled)
    backend.prepare(inputs_of("add", 5000))
    once, again = (backend.gpu.compiled(KERNELS["add"], F32, "v16")[1] for _ in range(2))
    assert once is again
    assert len(cupy.compiled) == before
    open_backend(monkeypatch, cupy, index=1).prepare(inputs_of("add"))
    assert len(cupy.compiled) == 2 * before


@pytest.mark.parametrize("first", [True, False])
def test_the_gpu_with_the_highest_peak_is_measured(monkeypatch: pytest.MonkeyPatch, first: bool) -> None:
    """With several GPUs the default is the one with the highest published peak, and the arrays lie on it."""
    pro = Gpu(memory_bytes=48 * GIB)
    other = Gpu(name="NVIDIA RTX 0000 Display", memory_bytes=8 * GIB)
    cupy = StandIn(*((pro, other) if first else (other, pro)))
    rows = rows_of(monkeypatch, cupy, kernels=("copy",), dtypes=("float32",))
    assert [(row.device, row.peak_gbs) for row in rows] == [(pro.name, 1344)]
    assert {index for index, _, _ in cupy.compiled} == {0 if first else 1}
    assert other.free_at == 0.0


def test_a_wrong_kernel_has_no_bandwidth(monkeypatch: pytest.MonkeyPatch) -> None:
    """What computes wrongly before it is timed is not timed; the others are, and the row says why it has no figure."""
    cupy = StandIn(Gpu(wrong={"bandmark_triad"}))
    rows = {r.kernel: r for r in rows_of(monkeypatch, cupy, kernels=("copy", "triad"), dtypes=("float32",))}
    row = rows["triad"]
    assert (row.status, row.verified, row.bandwidth_gbs, row.samples) == ("failed_verification", False, None, None)
    assert row.reason == "before timing, the output is wrong by inf times the tolerance"
    assert rows["copy"].status == "ok"


def test_a_kernel_that_goes_wrong_later_has_no_bandwidth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every case is verified again after timing; the times stay in the file, the bandwidth does not."""
    seen = iter(range(10**9))
    cupy = StandIn(Gpu(wrong_if=lambda launch: next(seen) > 20))
    (row,) = rows_of(monkeypatch, cupy, kernels=("copy",), dtypes=("float32",))
    assert (row.status, row.verified, row.bandwidth_gbs) == ("failed_verification", False, None)
    assert row.time_median_s is not None


def test_no_room_is_a_memory_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """CuPy's out of memory becomes MemoryError, and by then all that the attempt had taken is given back."""
    gpu = Gpu(memory_bytes=8 * MIB, l2_bytes=1024)
    backend = open_backend(monkeypatch, StandIn(gpu))
    with pytest.raises(
        MemoryError, match=r"Out of memory allocating 4,194,304 bytes \(allocated so far: 6,291,968 bytes"
    ):
        backend.prepare(inputs_of("copy", 6 * MIB // 4))
    assert (gpu.live, gpu.pooled) == (0, 0)
    assert backend.prepare(inputs_of("copy", 3 * MIB // 4)).verify() <= 1


def test_out_of_memory_halves_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """The size is halved until it fits, the row says so, and the run goes on."""
    gpu = Gpu(memory_bytes=16 * MIB, hidden_bytes=11 * MIB, l2_bytes=1024)
    rows = rows_of(monkeypatch, StandIn(gpu), kernels=("copy", "triad"), dtypes=("float32",), size_bytes=4 * MIB)
    assert [(r.kernel, r.n_elements, r.status) for r in rows] == [("copy", MIB // 2, "ok"), ("triad", MIB // 4, "ok")]
    assert [r.reason for r in rows] == [
        f"the size was halved {times} for want of device memory" for times in ("once", "2 times")
    ]
    assert all(r.verified and r.bytes_read == r.n_elements * 4 * KERNELS[r.kernel].words[0] for r in rows)


def test_sets_take_no_room_that_halving_has_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays that the cache could hold do not multiply when they are halved: one halving is enough where it fits."""
    gpu = Gpu(memory_bytes=16 * MIB, hidden_bytes=11 * MIB, l2_bytes=8 * MIB)
    (row,) = rows_of(monkeypatch, StandIn(gpu), kernels=("copy",), dtypes=("float32",), size_bytes=4 * MIB)
    assert (row.n_elements, row.copies, row.status) == (MIB // 2, 1, "ok")
    assert "the size was halved once for want of device memory" in (row.reason or "")


def test_no_room_at_all_ends_the_group_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A case that never fits is an error row that says so, and does not end the run."""
    gpu = Gpu(memory_bytes=16 * MIB, hidden_bytes=16 * MIB, l2_bytes=1024)
    rows = rows_of(monkeypatch, StandIn(gpu), kernels=("copy", "triad"), dtypes=("float32",))
    assert [r.status for r in rows] == ["error", "error"]
    assert all(r.reason and r.reason.startswith("out of memory: Out of memory allocating") for r in rows)


def test_the_driver_can_be_out_of_memory_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading code on a full device raises another error of the same meaning; other driver errors stay as they are."""
    backend = open_backend(monkeypatch, StandIn())
    for status, kind in ((2, MemoryError), (719, CUDADriverError)):

        def fail(*_: Any, status: int = status) -> None:
            raise CUDADriverError(status)

        monkeypatch.setattr(backend.gpu, "compiled", fail)
        with pytest.raises(kind, match="CUDA_ERROR"):
            backend.prepare(inputs_of("copy"))


def test_a_first_launch_that_finds_no_room_halves_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA loads a kernel's code when it is first launched: no room for that is want of memory, at any stage."""
    backend = open_backend(monkeypatch, StandIn())
    assert backend.lacks_memory(MemoryError()) and backend.lacks_memory(CUDADriverError(2))
    assert not backend.lacks_memory(CUDADriverError(719)) and not backend.lacks_memory(OSError(2, "no such file"))
    refusals = iter([CUDADriverError(2)])

    def law(launch: Launched) -> float:
        if launch.entry == "bandmark_copy":
            for refusal in refusals:
                raise refusal
        return 0.001

    (row,) = rows_of(monkeypatch, StandIn(Gpu(law, l2_bytes=1024)), kernels=("copy",), dtypes=("float32",))
    assert (row.status, row.n_elements) == ("ok", 64 * 1024 // 4 // 2)
    assert row.reason == "the size was halved once for want of device memory"


def test_a_driver_that_does_not_tell_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """On an integrated device that is unknown in the record, and nothing else."""
    backend = open_backend(monkeypatch, StandIn(Gpu(**SPARK)))

    def refuse() -> None:
        raise CUDARuntimeError(801)

    monkeypatch.setattr(sys.modules["cupy"].cuda.runtime, "memGetInfo", refuse)
    assert backend.facts()["device_free_bytes"] is None
    assert backend.budget().limit_bytes > 0


def test_integrated_devices_ask_the_system_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """On unified memory the budget is a quarter of what the system has and the device reaches, never of CUDA's free."""
    cupy = StandIn(Gpu(**SPARK, memory_bytes=12 * GIB))
    backend = open_backend(monkeypatch, cupy)
    for available, budget in ((8 * GIB, 2 * GIB), (100 * GIB, 3 * GIB)):
        monkeypatch.setattr(sys.modules["bandmark.backends.base"], "available_bytes", lambda there=available: there)
        assert backend.budget().limit_bytes == backend.budget().default_bytes == budget
    assert cupy.memory_asked == 0
    assert backend.facts()["device_free_bytes"] == 12 * GIB - cupy.gpu.live - cupy.gpu.pooled


def test_integrated_devices_are_not_tried_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where memory runs out all the same, no smaller size is tried: each attempt may freeze such a machine."""
    gpu = Gpu(**SPARK, memory_bytes=64 * MIB, hidden_bytes=60 * MIB, l2_bytes=1024)
    cupy = StandIn(gpu)
    (row,) = rows_of(monkeypatch, cupy, kernels=("copy",), dtypes=("float32",), size_bytes=4 * MIB)
    assert row.status == "error"
    assert row.reason == (
        "MemoryError: Out of memory allocating 4,194,304 bytes (allocated so far: 512 bytes); "
        "the memory is the system's, so no smaller size is tried: --size takes less"
    )
    assert (gpu.live, gpu.pooled) == (0, 0)


def test_discrete_devices_take_part_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """80 % of what CUDA says is free, pooled memory given back first."""
    backend = open_backend(monkeypatch, StandIn(Gpu(memory_bytes=10 * GIB)))
    assert backend.budget().limit_bytes == pytest.approx(8 * GIB, rel=1e-6)


WARM = {"nvmlDeviceGetTemperature": 64, "nvmlDeviceGetPowerUsage": 250_000}


@pytest.mark.parametrize(
    ("sensors", "clause"),
    [
        ({"nvmlDeviceGetComputeRunningProcesses": ["this", "other"]}, "1 other program had work on the device"),
        ({"nvmlDeviceGetCurrentClocksEventReasons": 0x8}, "a hardware slowdown held its clocks down"),
        ({"nvmlDeviceGetCurrentClocksThrottleReasons": 0x40}, "heat held its clocks down (hardware limit)"),
    ],
)
def test_what_the_sensors_say_makes_a_row_suspect(
    monkeypatch: pytest.MonkeyPatch, sensors: dict[str, Any], clause: str
) -> None:
    """Another process and throttle reasons are named in the row; its figure stays."""
    cupy = StandIn(Gpu(l2_bytes=1024))
    (row,) = rows_of(monkeypatch, cupy, Sensors(**WARM, **sensors), kernels=("copy",), dtypes=("float32",))
    assert (row.status, row.reason) == ("suspect", clause)
    assert row.bandwidth_gbs is not None
    assert (row.temperature_c, row.power_w) == (64, 250)


def test_a_passing_doubt_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the sensors said at any time while a case was sampled counts."""
    told = iter([0x40])
    backend = open_backend(
        monkeypatch, StandIn(), Sensors(nvmlDeviceGetCurrentClocksEventReasons=lambda _: next(told, 0x1))
    )
    monkeypatch.setattr(sensors_module, "_READ_EVERY_S", 0.0)
    backend.prepare(inputs_of("copy"))
    for _ in range(3):
        backend.sensors.read_clock()
    assert backend.telemetry().throttle_reasons == ("heat held its clocks down (hardware limit)",)


def test_sensors_that_tell_no_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    """The maximum clock then comes from the driver, and the rest of the reading is kept."""
    backend = open_backend(monkeypatch, StandIn(), Sensors(**WARM))
    backend.sensors.read_clock()
    seen = backend.telemetry()
    assert (seen.temperature_c, seen.power_w, seen.max_clock_mhz) == (64, 250, 2400)


def test_a_device_that_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every sensor unsupported and counters that stand still, the cells are empty and nothing is doubted."""
    gpu = Gpu(**SPARK, l2_bytes=1024, clock_khz=0, counters=lambda now: (0, 0))
    for sensors in (Sensors(nvmlDeviceGetHandleByPciBusId=None), Sensors(), None):
        (row,) = rows_of(monkeypatch, StandIn(gpu), sensors, kernels=("copy",), dtypes=("float32",))
        assert (row.status, row.reason, row.verified) == ("ok", None, True)
        assert (row.clock_mhz, row.temperature_c, row.power_w, row.driver) == (None, None, None, None)


@pytest.mark.parametrize("clock_khz", [0, 3_003_000])
def test_the_slow_state_of_a_dgx_spark_is_named(monkeypatch: pytest.MonkeyPatch, clock_khz: int) -> None:
    """A GB10 at 513 MHz makes the row suspect and says what ends that state, with or without a known maximum."""
    gpu = Gpu(**SPARK, l2_bytes=1024, clock_khz=clock_khz, counters=lambda now: (int(now * 513e6), int(now * 1e9)))
    (row,) = rows_of(monkeypatch, StandIn(gpu), kernels=("copy",), dtypes=("float32",))
    assert row.status == "suspect"
    assert row.reason is not None
    assert "513 MHz is a DGX Spark's known slow state: unplug its power supply" in row.reason
    assert ("17 % of 3003 MHz" in row.reason) == bool(clock_khz)


def test_other_devices_have_no_such_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow clock elsewhere is told without that advice."""
    gpu = Gpu(l2_bytes=1024, counters=lambda now: (int(now * 513e6), int(now * 1e9)))
    (row,) = rows_of(monkeypatch, StandIn(gpu), kernels=("copy",), dtypes=("float32",))
    assert row.reason == "the processors ran at 513 MHz, 21 % of 2400 MHz"


def test_a_device_that_flips_between_two_speeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples of two speeds are found and named."""
    count = iter(range(10**9))
    cupy = StandIn(Gpu(lambda launch: 0.006 if next(count) // 10 % 2 else 0.010, l2_bytes=1024))
    (row,) = rows_of(monkeypatch, cupy, kernels=("copy",), dtypes=("float32",))
    assert row.status == "suspect"
    assert row.reason is not None and "the samples fall into two speeds, 67 % apart" in row.reason


def test_a_lost_device_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a launch that failed every later case is an error row with CUDA's reason, and the run ends in order."""
    gpu = Gpu()

    def law(launch: Launched) -> float:
        gpu.lost = launch.entry == "bandmark_add"
        return 0.001

    gpu.law = law
    rows = {
        r.kernel: r for r in rows_of(monkeypatch, StandIn(gpu), kernels=("copy", "add", "triad"), dtypes=("float32",))
    }
    assert [rows[name].status for name in ("copy", "add", "triad")] == ["ok", "error", "error"]
    for name in ("add", "triad"):
        assert (rows[name].reason or "").startswith("CUDARuntimeError: cudaErrorLaunchFailure")


def test_a_device_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below compute capability 8.0 the backend says so and what measures such a GPU."""
    with pytest.raises(
        BackendUnavailable, match=r"compute capability 7.5, and the CUDA kernels need 8.0 .* --backend torch"
    ):
        open_backend(monkeypatch, StandIn(Gpu(name="Tesla T4", capability=(7, 5))))


@pytest.mark.parametrize("log", ["Failed to find CUDA headers", "=====\n\nFailed to find CUDA headers\nmore", ""])
def test_what_can_not_compile_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, log: str) -> None:
    """A missing or broken compiler is found at once, with its first words and what to install."""
    with pytest.raises(BackendUnavailable) as refused:
        open_backend(monkeypatch, StandIn(Gpu(compile_log=log)))
    message = str(refused.value)
    said = "Failed to find CUDA headers" if log else "no message"
    assert f"(CompileException: {said})" in message
    assert "pip install 'cupy-cuda13x[ctk]'" in message


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (CUDADriverError(222), "The driver is for CUDA 13.2, older than the compiler, NVRTC 13.2: update"),
        (PermissionError(13, "Permission denied"), "Set CUPY_CACHE_DIR to a folder that can be written"),
    ],
)
def test_what_to_do_where_nothing_loads(monkeypatch: pytest.MonkeyPatch, error: Exception, remedy: str) -> None:
    """A driver older than the compiler, and a cache that can't be written, have remedies of their own."""

    def fail(module: object, entry: str) -> None:
        raise error

    monkeypatch.setattr(Module, "get_function", fail)
    with pytest.raises(BackendUnavailable) as refused:
        open_backend(monkeypatch, StandIn())
    assert remedy in str(refused.value) and "brings what CuPy compiles" not in str(refused.value)


def test_versions_are_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run record gets the versions of CUDA and what NVML says."""
    sensors = Sensors(nvmlSystemGetDriverVersion=b"580.65.06", nvmlDeviceGetEccMode=(1, 1))
    backend = open_backend(monkeypatch, StandIn(), sensors)
    assert backend.driver == "580.65.06"
    facts = backend.facts()
    assert {
        "cuda_runtime": 13020,
        "cuda_driver": 13020,
        "nvrtc": "13.2",
        "ecc": True,
        "mig": None,
    }.items() <= facts.items()


def test_closing_gives_memory_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a run nothing is held on the device."""
    gpu = Gpu()
    rows_of(monkeypatch, StandIn(gpu), kernels=("copy", "gemv"), dtypes=("float32",))
    assert (gpu.live, gpu.pooled) == (0, 0)
