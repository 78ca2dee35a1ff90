"""torch on the CPU, on the arrays that NumPy uses, and on a pretend accelerator with arrays and events of its own."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bandmark.backends import base, host, torch_backend
from bandmark.backends.host import HostMemory
from bandmark.backends.team import Team
from bandmark.backends.torch_backend import TorchBackend, open_accelerator
from bandmark.device.device import Device
from bandmark.device.sensors import POWER_CAP, SensorReading
from bandmark.measure.sampling import Schedule, StopRule, take
from bandmark.session.runner import measure_groups
from bandmark_kernels import DTYPES, KERNELS, QUANTIZED, Implementation, Kernel, Launch, Shape
from bandmark_kernels.core.checks import make_inputs
from bandmark_kernels.core.kernel import Inputs
from cupy_sensors import Sensors
from fakes import FAKE_GPU, GIB, make_group, make_machine, make_peak, make_session, make_target
from kernel_cases import shape_of

TORCH = [name for name, kernel in KERNELS.items() if kernel.implementations["torch"].dtypes]
TORCH_FORMATS = ("fp16", "int8")


def bind_in_place(a: Any, b: Any, c: Any, s: float) -> Any:
    """A += b + s * c in two ops."""

    def launch() -> None:
        a.add_(b)
        a.add_(c, alpha=s)

    return launch


def on_torch(kernel: Kernel, bind: Any) -> Kernel:
    """Return a kernel with another implementation on torch."""
    implementations = {**kernel.implementations, "torch": Implementation(bind, ("float32",))}
    return replace(kernel, implementations=implementations)


IN_PLACE = on_torch(KERNELS["nstream"], bind_in_place)


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    """Give torch its threads back: the backend sets them for the process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def cpu() -> Iterator[TorchBackend]:
    """The backend on the CPU, on two threads."""
    with Team([0, 0]) as team:
        yield TorchBackend(make_machine().as_device(), HostMemory(team), "cpu")


class Module:
    """A pretend device module whose events say 2 ms, and whose device is the CPU."""

    def __init__(self) -> None:
        self.log: list[str] = []
        log = self.log

        class Event:
            def __init__(self, enable_timing: bool) -> None:
                self.timing = enable_timing

            def record(self) -> None:
                log.append("record")

            def synchronize(self) -> None:
                log.append("wait")

            def elapsed_time(self, later: Any) -> float:
                return 2.0

        self.Event = Event

    def get_device_properties(self, address: Any) -> SimpleNamespace:
        return SimpleNamespace(pci_domain_id=0, pci_bus_id=1, pci_device_id=0, clock_rate=2_600_000)

    def synchronize(self) -> None:
        self.log.append("synchronize")

    def empty_cache(self) -> None:
        self.log.append("empty_cache")

    def mem_get_info(self, address: Any) -> tuple[int, int]:
        return 10 * GIB, 16 * GIB


@pytest.fixture
def accelerator(monkeypatch: pytest.MonkeyPatch) -> tuple[TorchBackend, Module]:
    """The backend on a pretend accelerator: the CPU, timed by pretend events, with tensors of its own."""
    module = Module()
    monkeypatch.setattr(torch, "get_device_module", lambda address: module)
    return TorchBackend(FAKE_GPU, None, "cpu"), module


def inputs(kernel: str, dtype: str = "float32", n: int = 1000) -> Inputs:
    """The inputs of a small case."""
    (number, *_) = KERNELS[kernel].dtypes_among([DTYPES[dtype]])
    return make_inputs(KERNELS[kernel], number, shape_of(KERNELS[kernel], n, Shape(60, m=70)), seed=3)


def backend_output(kernel: str) -> str:
    """The name of a kernel's first output."""
    return KERNELS[kernel].outputs[0].name


@pytest.mark.parametrize("kernel", TORCH)
def test_every_kernel_is_timed_and_verified_on_the_cpu(cpu: TorchBackend, kernel: str) -> None:
    """A window takes time, and the output after it is right, again and again."""
    workload = cpu.prepare(inputs(kernel))
    assert take(workload, 3).seconds > 0
    assert workload.verify() <= 1
    take(workload, 1)
    assert workload.verify() <= 1


@pytest.mark.parametrize("kernel", TORCH)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_kernel_is_right_on_an_accelerator(
    accelerator: tuple[TorchBackend, Module], kernel: str, dtype: str
) -> None:
    """On its own tensors, filled and poisoned on the device, each supported kernel is verified."""
    backend, module = accelerator
    made = inputs(kernel, dtype)
    if backend.unsupported_reason(made.kernel, made.dtype) is not None:
        assert dtype == "bfloat16"
        return
    workload = backend.prepare(made)
    module.log.clear()
    assert take(workload, 2).seconds == pytest.approx(2e-3)
    assert module.log == ["synchronize", "record", "record", "wait"]
    assert workload.verify() <= 1
    workload.close()
    assert module.log[-1] == "empty_cache"


@pytest.mark.parametrize("name", TORCH_FORMATS)
@pytest.mark.parametrize("where", ["cpu", "accelerator"])
def test_packed_weights_are_placed_and_verified(name: str, where: str, request: pytest.FixtureRequest) -> None:
    """Codes that are no number of torch's, scales per row, and several sets of both: each op is right on them."""
    if name == "fp16" and torch.backends.quantized.engine not in ("x86", "fbgemm"):
        pytest.skip("torch does not use FBGEMM here")
    found = request.getfixturevalue(where)
    backend = found[0] if where == "accelerator" else found
    packed = make_inputs(QUANTIZED[name], DTYPES["float32"], Shape(128, m=70), seed=3)
    workload = backend.prepare(packed, copies=2)
    take(workload, 3)
    assert workload.verify() <= 1
    workload.launch = lambda: None
    assert not workload.verify() <= 1


@pytest.mark.parametrize("kernel", ["copy", "triad", "dot", "gemv"])
@pytest.mark.parametrize("where", ["cpu", "accelerator"])
def test_a_launch_that_does_nothing_is_found(kernel: str, where: str, request: pytest.FixtureRequest) -> None:
    """Verification poisons the output first, so that a launch that writes nothing fails it."""
    found = request.getfixturevalue(where)
    backend = found[0] if where == "accelerator" else found
    workload = backend.prepare(inputs(kernel))
    take(workload, 1)
    workload.launch = lambda: None
    assert not workload.verify() <= 1


@pytest.mark.parametrize("kernel", [IN_PLACE, KERNELS["adamw"]], ids=lambda k: k.name)
@pytest.mark.parametrize("where", ["cpu", "accelerator"])
def test_kernels_in_place_are_verified_with_other_scalars(
    where: str, kernel: Kernel, request: pytest.FixtureRequest
) -> None:
    """Fresh operands and other scalars verify a kernel that works in place, and one that does nothing fails."""
    found = request.getfixturevalue(where)
    backend = found[0] if where == "accelerator" else found
    made = make_inputs(kernel, DTYPES["float32"], Shape(1000), seed=3)
    workload = backend.prepare(made)
    for _ in range(2):
        take(workload, 5)
        assert workload.verify() <= 1
    idle = on_torch(kernel, lambda **operands: lambda: None)
    workload = backend.prepare(replace(made, kernel=idle))
    take(workload, 5)
    assert not workload.verify() <= 1


@pytest.mark.parametrize("where", ["cpu", "accelerator"])
def test_a_window_is_entered_once_for_all_its_launches(where: str, request: pytest.FixtureRequest) -> None:
    """What an implementation needs around its launches is entered before the timer starts, and left at any end."""
    found = request.getfixturevalue(where)
    backend = found[0] if where == "accelerator" else found
    log: list[str] = []

    @contextmanager
    def window() -> Iterator[None]:
        log.append("enter")
        yield
        log.append("leave")

    def bind(**operands: Any) -> Launch:
        copy = KERNELS["copy"].implementations["torch"].bind(**operands)
        return lambda: (log.append("launch"), copy())

    kernel = replace(KERNELS["copy"], implementations={"torch": Implementation(bind, window=window)})
    workload = backend.prepare(make_inputs(kernel, DTYPES["float32"], Shape(1000), seed=3))
    take(workload, 2)
    assert log == ["enter", "launch", "launch", "leave"]
    assert workload.verify() <= 1
    assert log[4:] == ["enter", "launch", "leave"]
    workload.start(1)
    workload.close()
    assert log[7:] == ["enter", "leave"]


@pytest.mark.parametrize("kernel", TORCH)
def test_small_sets_rotate_on_an_accelerator(accelerator: tuple[TorchBackend, Module], kernel: str) -> None:
    """Launches take the sets in turn, each has its own tensors, and verification looks at the one it launches on."""
    backend, _ = accelerator
    workload = backend.prepare(inputs(kernel), copies=3)
    assert workload.copies == len({id(tensors[backend_output(kernel)]) for tensors in workload._sets}) == 3
    for _ in range(4):
        assert take(workload, 2).seconds > 0
        assert workload.verify() <= 1
    seen: list[int] = []
    workload._timed = [lambda i=i: seen.append(i) for i in range(3)]  # type: ignore[misc]
    begin = workload._next
    take(workload, 5)
    assert seen == [(begin + i) % 3 for i in range(5)]
    # A kernel that works in place is bound anew, with other scalars, to be verified.
    assert (workload.verify() <= 1) == bool(KERNELS[kernel].check.scalars)


@pytest.mark.parametrize("kernel", ["copy", "gemv", "dot"])
def test_small_sets_rotate_on_a_cpu(cpu: TorchBackend, kernel: str) -> None:
    """The sets are those that NumPy uses, and launches take them in turn."""
    assert cpu.memory is not None
    made = inputs(kernel)
    shared = cpu.memory.sets(made, 3)
    workload = cpu.prepare(made, copies=3)
    name = made.kernel.operands[0].name
    assert [t[name].data_ptr() for t in workload._sets] == [a[name].__array_interface__["data"][0] for a in shared]
    for _ in range(4):
        take(workload, 2)
        assert workload.verify() <= 1
    seen: list[int] = []
    workload._timed = [lambda i=i: seen.append(i) for i in range(3)]  # type: ignore[misc]
    take(workload, 6)
    assert sorted(seen) == [0, 0, 1, 1, 2, 2]
    assert [workload.verify() <= 1 for _ in range(3)] == [False] * 3


def test_the_cpu_backend_works_on_numpys_arrays(cpu: TorchBackend) -> None:
    """Both libraries move the same pages: a tensor shares memory with the arena."""
    made = inputs("copy", "bfloat16")
    workload = cpu.prepare(made)
    assert cpu.memory is not None
    array = cpu.memory.sets(made)[0]["b"]
    assert workload._sets[0]["b"].data_ptr() == array.__array_interface__["data"][0]
    assert workload._sets[0]["b"].dtype == torch.bfloat16
    assert cpu.memory_name == HostMemory.name


def test_threads_are_the_teams(cpu: TorchBackend) -> None:
    """Torch works with as many threads as NumPy's team has; an accelerator has none."""
    assert cpu.threads == torch.get_num_threads() == 2
    assert TorchBackend(FAKE_GPU, None, "cpu").threads is None


def test_a_device_without_room_raises_memory_error(
    accelerator: tuple[TorchBackend, Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch's own out-of-memory error becomes MemoryError with its first line, and cached memory is given back."""
    backend, module = accelerator

    def full(*arguments: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    monkeypatch.setattr(torch_backend, "_Workload", full)
    with pytest.raises(MemoryError, match=r"^CUDA out of memory\.$"):
        backend.prepare(inputs("copy"))
    assert module.log == ["empty_cache"]


def test_a_half_made_workload_is_let_go_before_memory_is_given_back(
    accelerator: tuple[TorchBackend, Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an attempt had taken is free when the cache is emptied: else the next, smaller one would find it full."""
    backend, module = accelerator
    made: list[weakref.ref[torch.Tensor]] = []

    def fill(workload: Any, operand: Any, tensor: torch.Tensor) -> None:
        made.append(weakref.ref(tensor))
        raise torch.OutOfMemoryError("CUDA out of memory.")

    alive: list[bool] = []
    monkeypatch.setattr(torch_backend._Workload, "_fill", fill)
    monkeypatch.setattr(module, "empty_cache", lambda: alive.append(made[0]() is not None))
    with pytest.raises(MemoryError):
        backend.prepare(inputs("copy"))
    assert alive == [False]


def test_a_lost_device_ends_no_run(accelerator: tuple[TorchBackend, Module], monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed launch CUDA refuses everything; letting go must not hide what happened."""
    backend, module = accelerator
    workload = backend.prepare(inputs("copy"))

    def refuse() -> None:
        raise RuntimeError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(module, "empty_cache", refuse)
    workload.close()
    backend.close()


def test_want_of_memory_is_told_from_other_errors(cpu: TorchBackend) -> None:
    """Torch's error for it, which is no MemoryError, CUDA's by its code, cuBLAS's by its name, and Python's."""
    assert cpu.lacks_memory(torch.OutOfMemoryError("CUDA out of memory.")) and cpu.lacks_memory(MemoryError())
    for code, is_room in ((2, True), (719, False)):
        error = torch.AcceleratorError("CUDA error")
        error.error_code = code
        assert cpu.lacks_memory(error) == is_room
    assert cpu.lacks_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))
    assert not cpu.lacks_memory(RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"))
    assert not cpu.lacks_memory(OSError(2, "no such file"))


def test_budgets(accelerator: tuple[TorchBackend, Module], cpu: TorchBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's memory on a CPU, four fifths of what is free on a device, a quarter and 4 GiB where it is shared."""
    for module in (base, host):
        monkeypatch.setattr(module, "available_bytes", lambda: 20 * GIB)
    backend, _ = accelerator
    assert cpu.budget().limit_bytes == 10 * GIB
    assert backend.budget().default_bytes == 8 * GIB
    shared = TorchBackend(Device(kind="gpu", name="NVIDIA GB10", integrated=True), None, "cpu")
    assert shared.budget().limit_bytes == 4 * GIB


def test_accelerators_are_verified_before_they_are_timed(cpu: TorchBackend) -> None:
    """On a CPU verification comes after timing alone."""
    assert TorchBackend(FAKE_GPU, None, "cpu").verifies_first
    assert not cpu.verifies_first


def test_unsupported_cases_have_a_reason(cpu: TorchBackend) -> None:
    """A dtype that a CPU has no fast GEMV for, and float64 on Apple's GPUs, are told."""
    assert cpu.unsupported_reason(KERNELS["gemv"], DTYPES["float16"])
    assert cpu.unsupported_reason(KERNELS["triad"], DTYPES["bfloat16"]) is None
    backend = TorchBackend(FAKE_GPU, None, "cpu")
    backend.address = torch.device("mps")
    assert backend.unsupported_reason(KERNELS["copy"], DTYPES["float64"]) == "Apple GPUs have no float64"


def test_opening_an_accelerator_makes_it_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events and tensors without a device then belong to it."""
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.accelerator, "set_device_index", chosen.append)
    monkeypatch.setattr(torch, "get_device_module", lambda address: Module())
    backend = open_accelerator("cuda:1", FAKE_GPU)
    assert chosen == [torch.device("cuda:1")]
    assert (backend.memory_name, backend.device) == ("torch cuda:1", FAKE_GPU)


def test_sensors_of_a_cuda_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch alone tells driver, heat, power, clocks, ECC and doubts; NVML finds the device by place, not by index."""
    asked: list[bytes] = []
    pynvml = Sensors(
        nvmlDeviceGetHandleByPciBusId=lambda bus: asked.append(bus) or "handle",
        nvmlSystemGetDriverVersion="580.65.06",
        nvmlDeviceGetTemperature=64,
        nvmlDeviceGetPowerUsage=250_000,
        nvmlDeviceGetClockInfo=lambda handle, kind: 2400,
        nvmlDeviceGetEccMode=(1, 1),
        nvmlDeviceGetCurrentClocksEventReasons=0x40,
    )
    monkeypatch.setitem(sys.modules, "pynvml", pynvml)
    monkeypatch.setattr(torch, "get_device_module", lambda address: Module())
    backend = TorchBackend(FAKE_GPU, None, "cuda:1")
    assert (asked, backend.driver) == ([b"0000:01:00.0"], "580.65.06")
    assert backend.telemetry() == SensorReading(max_clock_mhz=2600)
    facts = {"ecc": True, "mig": None, "device_max_clock_mhz": 2600, "device_free_bytes": 10 * GIB}
    assert facts.items() <= backend.facts().items()
    backend.address = torch.device("cpu")  # where the pretend device's tensors are
    reading = take(backend.prepare(inputs("copy")), 3)
    assert (reading.clock_mhz, reading.sensor_clock_mhz, reading.braked) == (None, 2400, True)
    seen = backend.telemetry()
    assert (seen.temperature_c, seen.power_w, seen.clock_mhz, seen.max_clock_mhz) == (64, 250, 2400, 2600)
    assert seen.throttle_reasons == ("heat held its clocks down (hardware limit)",)


def test_a_cuda_device_without_sensors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without NVML, UUID or clock nothing is told, and nothing fails."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    module = Module()
    module.get_device_properties = lambda address: SimpleNamespace()  # type: ignore[attr-defined]
    monkeypatch.setattr(torch, "get_device_module", lambda address: module)
    backend = TorchBackend(FAKE_GPU, None, "cuda:0")
    assert backend.read_clock() == SensorReading()
    assert (backend.driver, backend.telemetry()) == (None, SensorReading())

    def refuse(address: Any) -> None:
        raise RuntimeError("CUDA error: operation not supported")

    module.mem_get_info = refuse  # type: ignore[method-assign, assignment]
    assert backend.facts()["device_free_bytes"] is None


def test_rows_of_torch_alone_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Driver, heat, power and clock stand in the row, in the JSON each sample's clock; the power cap is a note."""
    pynvml = Sensors(
        nvmlSystemGetDriverVersion="580.65.06",
        nvmlDeviceGetTemperature=64,
        nvmlDeviceGetPowerUsage=250_000,
        nvmlDeviceGetClockInfo=lambda handle, kind: {1: 2400, 2: 14001}[kind],
        nvmlDeviceGetCurrentClocksEventReasons=0x4,
    )
    monkeypatch.setitem(sys.modules, "pynvml", pynvml)
    monkeypatch.setattr(torch, "get_device_module", lambda address: Module())
    backend = TorchBackend(FAKE_GPU, None, "cuda:0")
    backend.address = torch.device("cpu")  # where the pretend device's tensors are
    group = make_group("copy", [backend], dtype="float32")  # type: ignore[list-item]
    rule = StopRule(min_samples=6, min_time_s=0, warmup_s=0, max_warmup_s=0)
    target = make_target([backend], peak=make_peak(1.0))  # type: ignore[list-item]
    session = make_session([group], [], target=target)
    for outcomes in measure_groups([group], session.options, rule, Schedule(limit_s=30.0)):
        session.outcomes += outcomes
    (row,), (entry,) = session.rows(), session.record().samples
    assert (row.driver, row.temperature_c, row.power_w, row.clock_mhz) == ("580.65.06", 64, 250, 2400)
    assert (row.status, row.reason) == ("ok", POWER_CAP)
    assert (row.verified, row.samples, row.bandwidth_gbs is None) == (True, 6, False)
    assert (entry["clocks_mhz"], entry["sensor_clocks_mhz"]) == ([], [2400] * 6)
    assert (entry["braked_samples"], entry["memory_clock_mhz"]) == ([], 14001)


def test_what_the_record_says(cpu: TorchBackend) -> None:
    """Torch's version and what it was built for, and no path."""
    facts = cpu.facts()
    assert set(facts) == {"cuda", "git", "threads", "thread_pools"}
    assert "/" not in str(facts)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_periods_are_compared_on_the_device(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    """An element that has other bits than the one a period before is found wherever it is; NaN equals NaN."""
    monkeypatch.setattr(torch_backend, "_COMPARED_ELEMENTS", 100)
    tensor = torch.arange(37, dtype=dtype).repeat(10)
    tensor[5::37] = float("nan")
    assert torch_backend._repeats(tensor, 37)
    for index in (0, 36, 37, 136, 137, 369):
        changed = tensor.clone()
        changed[index] = 99
        assert not torch_backend._repeats(changed, 37)
