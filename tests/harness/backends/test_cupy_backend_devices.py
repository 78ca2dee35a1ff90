"""CuPy's view of the devices becomes plain facts, and what is missing a sentence."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from bandmark_kernels import DTYPES, KERNELS, Shape
from bandmark_kernels.attention.kv import kv_kernel
from bandmark_kernels.core.checks import make_inputs
from cupy_errors import CUDARuntimeError
from cupy_gpu import GIB, Gpu
from cupy_sensors import Sensors
from cupy_standin import StandIn, install, open_backend


def devices(monkeypatch: pytest.MonkeyPatch, cupy: Any, sensors: Sensors | None = None) -> Any:
    """Return the module under test, imported with a stand-in for CuPy."""
    install(monkeypatch, cupy, sensors)
    return importlib.import_module("bandmark.backends.cupy_backend")


def test_facts_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are text, clocks are MHz, and each device has its address."""
    cupy = StandIn(Gpu(), Gpu(name="NVIDIA GB10", capability=(12, 1), integrated=1))
    ((address, facts), (second, spark)), problem = devices(monkeypatch, cupy).list_accelerators()
    assert (address, second, problem) == ("cuda:0", "cuda:1", None)
    assert facts.name == "NVIDIA RTX PRO 5000 Blackwell"
    assert facts.memory_clock_mhz == 14001
    assert facts.compute_capability == (12, 0)
    assert (facts.bus_width_bits, facts.llc_bytes, facts.sm_count) == (384, 2**20, 4)
    assert (facts.integrated, facts.mig, facts.index) == (False, False, 0)
    assert (spark.name, spark.integrated, spark.index) == ("NVIDIA GB10", True, 1)


@pytest.mark.parametrize(
    ("fact", "where"),
    [("l2_bytes", "llc_bytes"), ("bus_bits", "bus_width_bits"), ("memory_khz", "memory_clock_mhz")],
)
def test_nothing_known_is_none(monkeypatch: pytest.MonkeyPatch, fact: str, where: str) -> None:
    """Drivers write 0 for what they do not know."""
    ((_, facts),), _ = devices(monkeypatch, StandIn(Gpu(**{fact: 0}))).list_accelerators()
    assert getattr(facts, where) is None


def test_the_memory_clock_that_nvml_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """It tells devices of the same name apart; without NVML it is None."""
    sensors = Sensors(nvmlDeviceGetMaxClockInfo=lambda bus, kind: {1: 2600, 2: 14001}[kind])
    ((_, facts),), _ = devices(monkeypatch, StandIn(), sensors).list_accelerators()
    assert facts.max_memory_clock_mhz == 14001
    ((_, facts),), _ = devices(monkeypatch, StandIn(), Sensors()).list_accelerators()
    assert facts.max_memory_clock_mhz is None


def test_slices_are_told_by_their_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A MIG slice is no whole GPU."""
    ((_, facts),), _ = devices(monkeypatch, StandIn(Gpu(name="NVIDIA A100 MIG 1g.5gb"))).list_accelerators()
    assert facts.mig


@pytest.mark.parametrize("status", [35, 100])
def test_no_driver_is_a_sentence(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """What CuPy raises without a driver becomes no device and a reason that says what to do."""
    found, problem = devices(monkeypatch, StandIn(device_count_error=status)).list_accelerators()
    assert found == []
    assert problem.startswith("CuPy 14.2.0 finds no usable NVIDIA driver (cudaError")
    assert "`nvidia-smi`" in problem and "cupy-cuda12x[ctk]" in problem


def test_no_device_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA_VISIBLE_DEVICES can leave none."""
    module = StandIn().module()
    module.cuda.runtime.getDeviceCount = lambda: 0
    found, problem = devices(monkeypatch, module).list_accelerators()
    assert (found, problem) == ([], "CuPy 14.2.0 finds no CUDA device; `nvidia-smi -L` lists what the driver has")


def test_a_broken_device_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that has fallen off the bus is told; the others are found."""
    module = StandIn(Gpu(), Gpu()).module()
    read = module.cuda.runtime.getDeviceProperties

    def refuse(index: int) -> Any:
        if index == 0:
            raise CUDARuntimeError(719)
        return read(index)

    module.cuda.runtime.getDeviceProperties = refuse
    ((address, _),), problem = devices(monkeypatch, module).list_accelerators()
    assert address == "cuda:1"
    assert problem == "CuPy can't read cuda:0 (cudaErrorLaunchFailure: unspecified launch failure)"


def test_the_place_on_the_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    """NVML finds a device by it; a driver that does not tell leaves the sensors out."""
    module = StandIn(Gpu(), Gpu()).module()
    found = devices(monkeypatch, module)
    assert [found.bus_id(0), found.bus_id(1)] == ["0000:01:00.0", "0000:02:00.0"]

    def refuse(index: int) -> str:
        raise CUDARuntimeError(801)

    module.cuda.runtime.deviceGetPCIBusId = refuse
    assert found.bus_id(0) is None


SPARK: dict[str, Any] = {
    "name": "NVIDIA GB10",
    "capability": (12, 1),
    "sms": 48,
    "integrated": 1,
    "bus_bits": 0,
    "memory_khz": 8533000,
}
BIG: dict[str, Any] = {
    "name": "NVIDIA B200",
    "capability": (10, 0),
    "sms": 148,
    "bus_bits": 7680,
    "memory_khz": 3996000,
}


def test_two_unlike_devices_keep_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each backend has its own device's facts, variants, geometry, sensors and free memory, whichever is used."""
    cupy = StandIn(Gpu(**SPARK), Gpu(**BIG, memory_bytes=8 * GIB))
    cupy.gpus[1].live = 2 * GIB  # in use by somebody else
    second = open_backend(monkeypatch, cupy, Sensors(nvmlDeviceGetClockInfo=1965), index=1)
    assert (second.device.name, second.device.sm_count, second.device.memory_clock_mhz) == ("NVIDIA B200", 148, 3996)
    assert second.device.integrated is False and second.capability == (10, 0)
    assert second.budget().limit_bytes <= 6 * GIB < 8 * GIB
    assert second.default_variants(KERNELS["copy"])[1:] == ("v32",)
    workload = second.prepare(make_inputs(KERNELS["read"], DTYPES["float32"], Shape(1 << 22), seed=1))
    assert workload._plan.steps[0].grid[0] == min(148 * 3, -(-(1 << 22) // (256 * 8 * 4)))
    assert workload.verify() <= 1 and {index for index, *_ in cupy.compiled} == {1}


def test_sensors_are_those_of_the_device_on_the_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    """NVML is asked for the device by its own place on the bus, not by a number."""
    asked: list[bytes] = []
    sensors = Sensors(nvmlDeviceGetClockInfo=1965, nvmlDeviceGetHandleByPciBusId=asked.append)
    cupy = StandIn(Gpu(**SPARK), Gpu(**BIG))
    open_backend(monkeypatch, cupy, sensors, index=1)
    assert asked[-1] == b"0000:02:00.0"


def test_programs_of_another_geometry_are_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention of other heads, or another format, is another program; the same again is not compiled twice."""
    cupy = StandIn()
    backend = open_backend(monkeypatch, cupy)
    before = len(cupy.compiled)
    for heads in ((8, 2, 128), (8, 4, 128), (8, 2, 64), (8, 2, 128)):
        backend.gpu.compiled(kv_kernel(*heads), DTYPES["float16"], "v16")
    backend.gpu.compiled(kv_kernel(8, 2, 128, "fp8"), DTYPES["float16"], "v16")
    assert len(cupy.compiled) - before == 4
