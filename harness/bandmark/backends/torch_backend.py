"""The torch backend: the library's ops on a CPU, on CUDA, or on whatever else torch calls an accelerator.

On a CPU it works on the arrays that NumPy uses, timed by the host's clock. On an accelerator it has its own arrays and
is timed by the device's events, through torch's device-agnostic interface.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

import torch

from bandmark.backends.base import Backend, accelerator_budget, accelerator_facts, gpu_device, place
from bandmark.backends.events import EventTimer
from bandmark.backends.host import HostMemory, HostWatch
from bandmark.device.device import Device
from bandmark.device.memory import MemoryBudget
from bandmark.device.sensors import SensorReading, Sensors
from bandmark.measure.measurement import Reading
from bandmark_kernels import DType, Kernel, Launch, Operand
from bandmark_kernels.core.checks import max_error
from bandmark_kernels.core.kernel import Inputs

_OUT_OF_MEMORY = 2  # the error_code of torch.AcceleratorError that is cudaErrorMemoryAllocation

_COMPARED_ELEMENTS = 1 << 26  # elements that are compared on the device at once: torch makes a byte for each

_CUBLAS_NO_ROOM = "CUBLAS_STATUS_ALLOC_FAILED"
"""What torch's error says where cuBLAS, which has a handle made at its first product, finds no room for it."""


class TorchBackend(Backend):
    """torch on one device."""

    name = "torch"
    version = torch.__version__

    def __init__(self, device: Device, memory: HostMemory | None, address: str) -> None:
        """Use the host's arrays on a CPU (memory given), else the accelerator at an address such as cuda:0."""
        self.device = device
        self.memory = memory
        self.address = torch.device(address)
        self.memory_name = HostMemory.name if memory else f"torch {address}"
        self.verifies_first = memory is None
        if _is_nvidia(self.address.type):
            self.sensors = _sensors(self.address)
            self.driver = self.sensors.driver
        if memory:
            self.threads = len(memory.team)
            torch.set_num_threads(self.threads)

    def unsupported_reason(self, kernel: Kernel, dtype: DType) -> str | None:
        """Return why a kernel does not run at memory speed, or None if it does."""
        if dtype.name == "float64" and self.address.type == "mps":
            return "Apple GPUs have no float64"
        return super().unsupported_reason(kernel, dtype)

    def prepare(self, inputs: Inputs, variant: str | None = None, copies: int = 1) -> _Workload:
        """Place the operands and bind the op to them."""
        return place(lambda: _Workload(self, inputs, copies), self.lacks_memory, self.close)

    def lacks_memory(self, problem: BaseException) -> bool:
        """Return whether torch, CUDA or cuBLAS found no room: their errors for that are no MemoryError."""
        return isinstance(problem, MemoryError | torch.OutOfMemoryError) or (
            isinstance(problem, RuntimeError)
            and (getattr(problem, "error_code", None) == _OUT_OF_MEMORY or _CUBLAS_NO_ROOM in str(problem))
        )

    def budget(self) -> MemoryBudget:
        """Return the budget of the device's memory, or of the system's where the two share it."""
        return self.memory.budget() if self.memory else accelerator_budget(self.device, self._free_bytes)

    def read_clock(self) -> SensorReading:
        """Read the clock of an NVIDIA device while it is busy; torch reads no counters of its own."""
        return self.sensors.read_clock() if self.sensors else SensorReading()

    def facts(self) -> Mapping[str, object]:
        """Return what torch was built for, and the facts of an NVIDIA device."""
        built: dict[str, object] = {
            "cuda": torch.version.cuda,
            "git": torch.version.git_version,
            "threads": torch.get_num_threads(),
        }
        if self.memory:
            from threadpoolctl import ThreadpoolController

            pools = ThreadpoolController().select(user_api="openmp").info()
            built["thread_pools"] = [{name: pool[name] for name in ("internal_api", "num_threads")} for pool in pools]
        return built | (accelerator_facts(self.sensors, self._free_bytes) if self.sensors else {})

    def close(self) -> None:
        """Return cached memory to the device."""
        if self.memory is None:
            # A device that has failed refuses this, too; the row of the launch that failed says why.
            with suppress(RuntimeError):
                torch.get_device_module(self.address).empty_cache()

    def _free_bytes(self) -> int:
        return int(torch.get_device_module(self.address).mem_get_info(self.address)[0])


class _Workload:
    """An op bound to its tensors, or to several sets of them in turn."""

    variant: str | None = None
    note = None

    def __init__(self, backend: TorchBackend, inputs: Inputs, copies: int = 1) -> None:
        kernel = inputs.kernel
        self.inputs = inputs
        self.copies = copies
        self._backend = backend
        self._sets = [
            {operand.name: self._new_tensor(operand, i) for operand in kernel.operands} for i in range(copies)
        ]
        self._watch = HostWatch()
        self._timer = None if backend.memory else EventTimer(torch.get_device_module(backend.address))
        self._implementation = kernel.implementations[backend.name]
        self._timed = [self._implementation.bind(**tensors, **kernel.scalars) for tensors in self._sets]
        self._window = ExitStack()
        self._next = 0
        # One set is launched as it is bound, with no code of this module between two launches.
        self.launch: Launch = self._timed[0] if self.copies == 1 else self._rotate

    def start(self, launches: int) -> None:
        self._window.enter_context(self._implementation.window())
        if self._timer:
            self._timer.start(launches)
        else:
            self._watch.start()

    def stop(self) -> Reading:
        with self._window:
            if self._timer:
                return self._timer.stop(self._backend.read_clock)
            return self._watch.stop()

    def verify(self) -> float:
        """Launch once into poisoned outputs of the next set in turn and compare them with the reference."""
        kernel, index = self.inputs.kernel, self._next
        tensors = self._sets[index]
        self._reset_outputs(index)
        with self._implementation.window():
            if kernel.check.scalars:
                self._implementation.bind(**tensors, **kernel.check.scalars)()
            else:
                self.launch()
        error = max_error(
            self.inputs,
            lambda name, start, stop: _to_storage(tensors[name].reshape(-1)[start:stop]),
            workers=self._backend.threads or 1,
            repeats=None if self._backend.memory else lambda name, period: _repeats(tensors[name], period),
        )
        if kernel.check.scalars:
            self._reset_outputs(index)
        return error

    def close(self) -> None:
        self._window.close()  # one that a launch has broken off
        del self.launch
        self._timed, self._sets = [], []
        self._backend.close()

    def _rotate(self) -> None:
        self._timed[self._next]()
        self._next = (self._next + 1) % self.copies

    def _new_tensor(self, operand: Operand, index: int) -> torch.Tensor:
        dtype = getattr(torch, operand.torch_dtype(self.inputs.dtype))
        shape = self.inputs.shape
        if operand.role == "result":
            return torch.full((), float("nan"), dtype=dtype, device=self._backend.address)
        if self._backend.memory:
            host = self._backend.memory.sets(self.inputs, self.copies)[index]
            return torch.from_numpy(host[operand.name]).view(dtype)
        tensor = torch.empty(operand.count(shape), dtype=dtype, device=self._backend.address)
        tensor = tensor.view(-1, shape.n // operand.elements_per_item) if operand.extent == "mn" else tensor
        self._fill(operand, tensor)
        return tensor

    def _reset_outputs(self, index: int) -> None:
        """Fill a set's outputs: with their tiles if they are read, too, with NaN if they are only written."""
        for operand in self.inputs.kernel.outputs:
            if self._backend.memory and operand.role != "result":
                self._backend.memory.reset(operand, index)
            else:
                self._fill(operand, self._sets[index][operand.name])

    def _fill(self, operand: Operand, tensor: torch.Tensor) -> None:
        """Repeat an operand's tile along its first axis on the device, or poison it."""
        if not operand.is_read:
            tensor.fill_(float("nan"))
            return
        tile = torch.from_numpy(self.inputs.tiles[operand.name]).view(tensor.dtype).to(tensor.device)
        for start in range(0, len(tensor), len(tile)):
            part = tensor[start : start + len(tile)]
            part.copy_(tile[: len(part)])
        if operand.name in self.inputs.ends:
            tensor[-1:] = torch.from_numpy(self.inputs.ends[operand.name]).view(tensor.dtype)


def _to_storage(tensor: torch.Tensor) -> Any:
    """Return a tensor's elements as a NumPy array, as they are stored."""
    host = tensor.cpu()
    return (host.view(torch.uint16) if host.dtype == torch.bfloat16 else host).numpy()


def _repeats(tensor: torch.Tensor, period: int) -> bool:
    """Return whether the bits of each element are those of the element a period before, compared on the device."""
    bits = tensor.reshape(-1).view(getattr(torch, f"int{8 * tensor.dtype.itemsize}"))
    later, earlier, step = bits[period:], bits[:-period], _COMPARED_ELEMENTS
    return all(torch.equal(later[k : k + step], earlier[k : k + step]) for k in range(0, len(later), step))


def _sensors(address: torch.device) -> Sensors:
    properties = torch.get_device_module(address).get_device_properties(address)
    khz = getattr(properties, "clock_rate", None)
    return Sensors(_nvml_address(properties), khz / 1e3 if khz else None)


def _is_nvidia(kind: str) -> bool:
    """Return whether a kind of device is CUDA: torch's builds for AMD call theirs by that name, too."""
    return kind == "cuda" and torch.version.hip is None


def _nvml_address(properties: Any) -> str | None:
    """Return a CUDA device's PCI bus id, by which NVML finds it, or its UUID before torch 2.9, which has no bus id.

    A slice (MIG) has the address of its GPU, whose sensors are meant.
    """
    if hasattr(properties, "pci_bus_id"):
        return f"{properties.pci_domain_id:04x}:{properties.pci_bus_id:02x}:{properties.pci_device_id:02x}.0"
    uuid = getattr(properties, "uuid", None)
    return f"GPU-{uuid}" if uuid else None


def list_accelerators() -> tuple[list[tuple[str, Device]], str | None]:
    """Return address and facts of each accelerator that torch sees, and a sentence if there is none."""
    if not hasattr(torch, "accelerator"):
        raise RuntimeError(f"torch {torch.__version__} has no torch.accelerator: update it to 2.6 or later")
    if not torch.accelerator.is_available():
        return [], "torch sees no accelerator"
    current = torch.accelerator.current_accelerator()
    assert current is not None
    module, kind = torch.get_device_module(current), current.type
    return [(f"{kind}:{i}", _device(module, kind, i)) for i in range(torch.accelerator.device_count())], None


def _device(module: Any, kind: str, index: int) -> Device:
    """Return the facts of one device; device modules differ in what their properties hold."""
    if not hasattr(module, "get_device_properties"):
        return Device(kind="gpu", name=f"Apple GPU ({kind})" if kind == "mps" else kind, index=index, integrated=True)
    properties = module.get_device_properties(index)
    numbers = ("total_memory", "L2_cache_size", "memory_bus_width", "memory_clock_rate", "multi_processor_count")
    nvidia, major = _is_nvidia(kind), getattr(properties, "major", None)
    device = gpu_device(
        str(properties.name),
        index,
        [getattr(properties, name, None) for name in numbers],
        Sensors(_nvml_address(properties)) if nvidia else None,
    )
    return replace(
        device,
        integrated=bool(properties.is_integrated) if hasattr(properties, "is_integrated") else None,
        compute_capability=(major, getattr(properties, "minor", 0)) if nvidia and major else None,
    )


def open_on_cpu(device: Device, memory: HostMemory) -> TorchBackend:
    """Return the backend on the CPU, on the host's arrays."""
    return TorchBackend(device, memory, "cpu")


def open_accelerator(address: str, device: Device) -> TorchBackend:
    """Return the backend on an accelerator such as cuda:0."""
    torch.accelerator.set_device_index(torch.device(address))
    return TorchBackend(device, None, address)
