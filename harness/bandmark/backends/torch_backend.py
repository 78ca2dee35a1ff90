"""The torch backend: the library's ops on a CPU, on CUDA, or on whatever else torch calls an accelerator.

On a CPU it works on the arrays that NumPy uses, timed by the host's clock. On an accelerator it has its own arrays and
is timed by the device's events, through torch's device-agnostic interface.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from time import perf_counter
from typing import Any

import torch

from bandmark.backends.events import EventTimer
from bandmark.backends.host import HostMemory
from bandmark.backends.torch_devices import is_nvidia, nvml_address
from bandmark.device.device import Device
from bandmark.device.memory import MemoryBudget, available_bytes, device_budget, unified_budget
from bandmark.device.sensors import ClockReading, SensorReading, Sensors
from bandmark.errors import first_line
from bandmark.measure.sampling import Reading
from bandmark_kernels import DType, Kernel, Launch, Operand
from bandmark_kernels.core.checks import max_error
from bandmark_kernels.core.kernel import Inputs

OUT_OF_MEMORY = 2
"""The error_code of torch.AcceleratorError that is cudaErrorMemoryAllocation."""

CUBLAS_NO_ROOM = "CUBLAS_STATUS_ALLOC_FAILED"
"""What torch's error says where cuBLAS, which has a handle made at its first product, finds no room for it."""


class TorchBackend:
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
        self.threads: int | None = len(memory.team) if memory else None
        self.sensors = _sensors(self.address) if is_nvidia(self.address.type) else None
        self.driver = self.sensors.driver if self.sensors else None
        if memory:
            torch.set_num_threads(len(memory.team))

    def unsupported_reason(self, kernel: Kernel, dtype: DType) -> str | None:
        """Return why a kernel does not run at memory speed, or None if it does."""
        if dtype.name == "float64" and self.address.type == "mps":
            return "Apple GPUs have no float64"
        return kernel.unsupported_reason(self.name, dtype, on_cpu=self.memory is not None)

    def variants(self, kernel: Kernel) -> tuple[str, ...]:
        """Return nothing: torch chooses its own kernels."""
        return ()

    def prepare(self, inputs: Inputs, variant: str | None = None, copies: int = 1) -> TorchWorkload:
        """Place the operands and bind the op to them; raises MemoryError if the device has no room."""
        if self.sensors:
            self.sensors.reset()
        try:
            return TorchWorkload(self, inputs, copies)
        except Exception as error:  # lacks_memory says which of them mean that memory ran out
            if not self.lacks_memory(error):
                raise
            problem = first_line(error)
        # The end of the handler drops the unfinished workload, and so its tensors.
        self.release()
        raise MemoryError(problem)

    def lacks_memory(self, problem: BaseException) -> bool:
        """Return whether torch, CUDA or cuBLAS found no room: their errors for that are no MemoryError."""
        return isinstance(problem, MemoryError | torch.OutOfMemoryError) or (
            isinstance(problem, RuntimeError)
            and (getattr(problem, "error_code", None) == OUT_OF_MEMORY or CUBLAS_NO_ROOM in str(problem))
        )

    def budget(self) -> MemoryBudget:
        """Return the budget of the device's memory, or of the system's where the two share it."""
        if self.memory:
            return self.memory.budget()
        if self.device.integrated or self.address.type == "mps":
            return unified_budget(available_bytes(), self.device.memory_bytes)
        free, _ = torch.get_device_module(self.address).mem_get_info(self.address)
        return device_budget(free)

    def read_clock(self) -> ClockReading:
        """Read the clock of an NVIDIA device; called while it is busy."""
        return self.sensors.read_clock() if self.sensors else ClockReading()

    def telemetry(self) -> SensorReading:
        """Return the last reading of an NVIDIA device at work, and every warning since the present case was prepared.

        The clock is NVML's alone: torch has no op that reads the device's own counters.
        """
        return self.sensors.reading() if self.sensors else SensorReading()

    def facts(self) -> dict[str, Any]:
        """Return what torch was built for, and of an NVIDIA device the memory that CUDA calls free and NVML's facts.

        On an integrated device "free" leaves out what the system could drop: it is recorded, and never used.
        """
        built = {"cuda": torch.version.cuda, "git": torch.version.git_version, "threads": torch.get_num_threads()}
        if self.sensors is None:
            return built
        free = None
        with suppress(RuntimeError):  # drivers of integrated devices have refused this query
            free = torch.get_device_module(self.address).mem_get_info(self.address)[0]
        return {**built, "device_free_bytes": free, **self.sensors.facts()}

    def release(self) -> None:
        """Return cached memory to the device."""
        if self.memory is None:
            # A device that has failed refuses this, too; the row of the launch that failed says why.
            with suppress(RuntimeError):
                torch.get_device_module(self.address).empty_cache()

    def close(self) -> None:
        """Return cached memory to the device."""
        self.release()


class TorchWorkload:
    """An op bound to its tensors, or to several sets of them in turn."""

    variant = None

    def __init__(self, backend: TorchBackend, inputs: Inputs, copies: int = 1) -> None:
        kernel = inputs.kernel
        self.inputs = inputs
        self.copies = copies
        self._backend = backend
        self._sets = [
            {operand.name: self._new_tensor(operand, i) for operand in kernel.operands} for i in range(copies)
        ]
        self._timer = None if backend.memory else EventTimer(torch.get_device_module(backend.address))
        self._implementation = kernel.implementations[backend.name]
        self._timed = [self._implementation.bind(**tensors, **kernel.scalars) for tensors in self._sets]
        self._window = ExitStack()
        self._next = 0
        # One set is launched as it is bound, with no code of this module between two launches.
        self.launch: Launch = self._timed[0] if self.copies == 1 else self._rotate

    def start(self, launches: int) -> None:
        """Start the device's timer, or the host's on a CPU."""
        self._window.enter_context(self._implementation.window())
        if self._timer:
            self._timer.start(launches)
        else:
            self._begin = perf_counter()

    def stop(self) -> Reading:
        """Return the elapsed time after the last launch has finished."""
        with self._window:
            if self._timer:
                return self._timer.stop(self._backend.read_clock)
            return Reading(perf_counter() - self._begin)

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
            lambda name, start, stop: to_storage(tensors[name].reshape(-1)[start:stop]),
            workers=self._backend.threads or 1,
        )
        if kernel.check.scalars:
            self._reset_outputs(index)
        return error

    def close(self) -> None:
        """Release the tensors, and leave a window that a launch has broken off."""
        self._window.close()
        del self.launch
        self._timed, self._sets = [], []
        self._backend.release()

    def _rotate(self) -> None:
        """Launch on the next set in turn."""
        self._timed[self._next]()
        self._next = (self._next + 1) % self.copies

    def _new_tensor(self, operand: Operand, index: int) -> torch.Tensor:
        """Return an operand of a set as a tensor: the host's array on a CPU, else a filled tensor on the device."""
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


def to_storage(tensor: torch.Tensor) -> Any:
    """Return a tensor's elements as a NumPy array, as they are stored."""
    host = tensor.cpu()
    return (host.view(torch.uint16) if host.dtype == torch.bfloat16 else host).numpy()


def _sensors(address: torch.device) -> Sensors:
    """Return the sensors of an NVIDIA device."""
    properties = torch.get_device_module(address).get_device_properties(address)
    khz = getattr(properties, "clock_rate", None)
    return Sensors(nvml_address(properties), khz / 1e3 if khz else None)


def open_accelerator(address: str, device: Device) -> TorchBackend:
    """Return the backend on an accelerator such as cuda:0."""
    torch.accelerator.set_device_index(torch.device(address))
    return TorchBackend(device, None, address)
