"""The CuPy backend: the raw CUDA kernels on an NVIDIA GPU, timed by the device's events.

Only these kernels, copies and memsets run on the device: CuPy allocates, compiles and launches, nothing more.
"""

from __future__ import annotations

from statistics import median
from time import monotonic
from typing import Any

import cupy
import numpy as np

from bandmark.backends.cupy_devices import max_clock_mhz
from bandmark.backends.events import delay_seconds
from bandmark.device import Device
from bandmark.errors import BackendUnavailable, UsageError
from bandmark.judge import DRAM_FROM
from bandmark.measure import Reading
from bandmark.memory import MemoryBudget, available_bytes, device_budget, unified_budget
from bandmark.nvml import Nvml
from bandmark.telemetry import Telemetry
from bandmark_kernels import DTYPES, DType, Kernel, Operand
from bandmark_kernels.cuda import Program, default_variant, program, variants
from bandmark_kernels.cuda_launch import Launches, clock_probe, delay, exact_scalars, launches
from bandmark_kernels.inputs import Inputs
from bandmark_kernels.verify import max_error

ROTATE_OVER = 5
"""A case smaller than the dram regime rotates over copies that fill this many L2 caches, so that none is re-read."""

MOST_COPIES = 64

TELEMETRY_EVERY_S = 0.25

CLOCK_RECORD = 3
"""Numbers that the clock probe writes per block: multiprocessor, cycles, nanoseconds."""


class CupyBackend:
    """CuPy on one CUDA device."""

    name = "cupy"
    version = cupy.__version__
    threads = None
    verifies_first = True

    def __init__(self, address: str, device: Device) -> None:
        """Open the device; raises BackendUnavailable if it is too old or nothing can be compiled for it."""
        assert device.index is not None
        assert device.compute_capability is not None
        assert device.sm_count is not None
        self.device = device
        self.capability = device.compute_capability
        self.sm_count = device.sm_count
        self.memory_name = f"cupy {address}"
        cupy.cuda.Device(device.index).use()
        self.nvml = Nvml(_bus_id(device.index))
        self.driver = self.nvml.driver()
        self.max_clock_mhz = max_clock_mhz(device.index)
        self._programs: dict[tuple[str, str, str], tuple[Program, Any]] = {}
        self._seen = Telemetry()
        self._seen_at = -TELEMETRY_EVERY_S
        self._helpers = self._compile_helpers()

    def why_not(self, kernel: Kernel, dtype: DType) -> str | None:
        """Return None: every kernel has a CUDA body for every dtype."""
        return None

    def variants(self, kernel: Kernel) -> tuple[str, ...]:
        """Return the forms of a kernel on this device, the default first."""
        return variants(kernel, self.capability)

    def prepare(self, inputs: Inputs, variant: str | None = None) -> CupyWorkload:
        """Place the operands and the workspace and compile the kernel; raises MemoryError without room."""
        try:
            return CupyWorkload(self, inputs, self.variant_for(inputs.kernel, variant))
        except cupy.cuda.memory.OutOfMemoryError as error:
            self.release()
            raise MemoryError(str(error)) from None

    def variant_for(self, kernel: Kernel, asked: str | None) -> str:
        """Return the variant to run: the one asked for, or the default; raises UsageError if there is none such."""
        offered = variants(kernel, self.capability)
        if asked is None:
            return default_variant(kernel, self.capability)
        if asked not in offered:
            raise UsageError(
                f"{kernel.name} has no variant {asked!r} on this device; choose from {', '.join(offered)}."
            )
        return asked

    def compiled(self, kernel: Kernel, dtype: DType, variant: str) -> tuple[Program, Any]:
        """Return a kernel's program and its compiled module, compiled once per device."""
        key = (kernel.name, dtype.name, variant)
        if key not in self._programs:
            made = program(kernel, dtype, variant, capability=self.capability)
            self._programs[key] = made, cupy.RawModule(code=made.source, options=made.options)
        return self._programs[key]

    def copies_for(self, set_bytes: int) -> int:
        """Return how many sets of the arrays launches rotate over: 1 unless the cache could hold them."""
        llc = self.device.llc_bytes or 0
        if set_bytes >= DRAM_FROM * llc:
            return 1
        wanted = -(-ROTATE_OVER * llc // set_bytes) + 1
        return max(1, min(wanted, MOST_COPIES, self.budget().default_bytes // set_bytes))

    def budget(self) -> MemoryBudget:
        """Return the budget of the device's memory, or of the system's where the two share it.

        On integrated devices CUDA's "free" leaves out what the system could drop, so it is not used.
        """
        if self.device.integrated:
            return unified_budget(available_bytes())
        free, _ = cupy.cuda.runtime.memGetInfo()
        return device_budget(free)

    def hold(self, launch_count: int) -> None:
        """Queue a delay behind which so many launches can be queued."""
        step = delay(int(delay_seconds(launch_count) * 1e9))[1]
        self._helpers[step.entry](step.grid, step.block, step.arguments())

    def probe_clocks(self, out: Any) -> None:
        """Queue a reading of the multiprocessors' clocks."""
        step = clock_probe(self.sm_count)[1]
        self._helpers[step.entry](step.grid, step.block, step.arguments({"out": out}))

    def watch(self) -> None:
        """Read the sensors now and then; called while the device is busy, so that they show it at work."""
        if monotonic() - self._seen_at >= TELEMETRY_EVERY_S:
            self._seen, self._seen_at = self.nvml.telemetry(), monotonic()

    def telemetry(self) -> Telemetry:
        """Return the last reading taken at work, with the driver's maximum clock where NVML has none."""
        seen = self._seen
        if seen.max_clock_mhz is None:
            return Telemetry(max_clock_mhz=self.max_clock_mhz, clock_mhz=seen.clock_mhz, doubts=seen.doubts)
        return seen

    def facts(self) -> dict[str, Any]:
        """Return the CUDA versions in use and what NVML says of the device."""
        runtime = cupy.cuda.runtime
        return {
            "cuda_runtime": runtime.runtimeGetVersion(),
            "cuda_driver": runtime.driverGetVersion(),
            "nvrtc": ".".join(map(str, cupy.cuda.nvrtc.getVersion())),
            "device_max_clock_mhz": self.max_clock_mhz,
            **self.nvml.facts(),
        }

    def release(self) -> None:
        """Give pooled memory back to the device."""
        cupy.get_default_memory_pool().free_all_blocks()

    def close(self) -> None:
        """Give pooled memory back to the device."""
        self._programs.clear()
        self.release()

    def _compile_helpers(self) -> dict[str, Any]:
        """Compile the delay and the clock probe: what fails here would fail for every kernel."""
        helpers = (delay(0), clock_probe(1))
        try:
            return {step.entry: cupy.RawModule(code=text).get_function(step.entry) for text, step in helpers}
        except Exception as error:  # CuPy raises many types when NVRTC is missing, too old or broken; all are told
            raise BackendUnavailable(
                f"CuPy can't compile for {self.device.name} ({type(error).__name__}: {str(error).splitlines()[0]}). "
                "`pip install 'bandmark[cuda13]'` (or cuda12) brings a matching NVRTC."
            ) from error


class CupyWorkload:
    """A CUDA kernel bound to its arrays, or to several sets of them in turn."""

    def __init__(self, backend: CupyBackend, inputs: Inputs, variant: str) -> None:
        kernel, dtype, shape = inputs.kernel, inputs.dtype, inputs.shape
        self.inputs = inputs
        self.variant = variant
        self.copies = backend.copies_for(kernel.working_set(shape, dtype))
        self._backend = backend
        made, module = backend.compiled(kernel, dtype, variant)
        self._plan: Launches = launches(made, shape, sm_count=backend.sm_count)
        self._functions = [module.get_function(step.entry) for step in self._plan.steps]
        self._workspace = cupy.empty(max(1, self._plan.workspace_elements), self._plan.workspace_dtype)
        self._sets = [{o.name: self._place(o) for o in kernel.operands} for _ in range(self.copies)]
        self._timed = [self._bind(arrays, kernel.scalars) for arrays in self._sets]
        self._next = 0
        self._clocks = [cupy.empty(backend.sm_count * CLOCK_RECORD, np.uint64) for _ in range(2)]
        self._begin, self._end = cupy.cuda.Event(), cupy.cuda.Event()

    def start(self, launch_count: int) -> None:
        """Queue a delay to hide the launches behind, then the start event."""
        cupy.cuda.runtime.deviceSynchronize()
        self._backend.hold(launch_count * len(self._functions))
        self._backend.probe_clocks(self._clocks[0])
        self._begin.record()

    def launch(self) -> None:
        """Queue the kernel once, on the next set of arrays."""
        for function, grid, block, arguments in self._timed[self._next]:
            function(grid, block, arguments)
        self._next = (self._next + 1) % self.copies

    def stop(self) -> Reading:
        """Queue the stop event, look at the sensors while the device works, wait, and read the events."""
        self._end.record()
        self._backend.probe_clocks(self._clocks[1])
        self._backend.watch()
        cupy.cuda.runtime.deviceSynchronize()
        seconds = cupy.cuda.get_elapsed_time(self._begin, self._end) / 1e3
        return Reading(seconds, mean_clock_mhz(self._clocks[0].get(), self._clocks[1].get()))

    def verify(self) -> float:
        """Launch once into a poisoned output and compare it with the reference."""
        kernel, arrays = self.inputs.kernel, self._sets[0]
        out = arrays[kernel.output.name]
        self._fill(kernel.output, out)
        for function, grid, block, arguments in self._bind(arrays, kernel.check_scalars or kernel.scalars):
            function(grid, block, arguments)
        cupy.cuda.runtime.deviceSynchronize()
        error = max_error(
            self.inputs,
            lambda start, stop: out[start:stop].get(),
            result=DTYPES[self.inputs.dtype.accumulator] if kernel.is_reduction else None,
        )
        if kernel.check_scalars:
            self._fill(kernel.output, out)
        return error

    def close(self) -> None:
        """Let go of the arrays."""
        self._timed, self._sets = [], []
        del self._workspace
        self._backend.release()

    def _bind(self, arrays: dict[str, Any], scalars: Any) -> list[tuple[Any, Any, Any, Any]]:
        """Return function, grid, block and arguments of each launch of one call."""
        kernel, dtype = self.inputs.kernel, self.inputs.dtype
        values = {**arrays, **exact_scalars(kernel, dtype, scalars), "workspace": self._workspace}
        return [
            (function, step.grid, step.block, step.arguments(values))
            for function, step in zip(self._functions, self._plan.steps, strict=True)
        ]

    def _place(self, operand: Operand) -> Any:
        """Return an operand as a flat array on the device, filled or poisoned."""
        dtype = self.inputs.dtype
        storage = dtype.accumulator if operand.role == "result" else dtype.storage
        array = cupy.empty(self.inputs.shape.count(operand.extent), storage)
        self._fill(operand, array)
        return array

    def _fill(self, operand: Operand, array: Any) -> None:
        """Repeat an operand's tile by copies on the device, or set every bit, which is NaN in every format."""
        if not operand.is_read:
            array.data.memset(0xFF, array.nbytes)
            return
        tile = cupy.asarray(self.inputs.tiles[operand.name].reshape(-1))
        for start in range(0, array.size, tile.size):
            part = array[start : start + tile.size]
            part.data.copy_from_device(tile.data, part.nbytes)
        if self.inputs.kernel.is_reduction:
            array[-1:].set(np.atleast_1d(self.inputs.last(operand.name)))


def mean_clock_mhz(before: Any, after: Any) -> float | None:
    """Return the multiprocessors' median clock between two probes, or None where the counters say nothing.

    Args:
        before: uint64 records (multiprocessor, cycles, nanoseconds), flat.
        after: the same, later.
    """
    first = {int(sm): (int(cycles), int(ns)) for sm, cycles, ns in before.reshape(-1, CLOCK_RECORD)}
    rates = []
    for sm, cycles, ns in after.reshape(-1, CLOCK_RECORD):
        begin = first.get(int(sm))
        if begin is not None and int(ns) > begin[1] and int(cycles) > begin[0]:
            rates.append(1e3 * (int(cycles) - begin[0]) / (int(ns) - begin[1]))
    return median(rates) if rates else None


def _bus_id(index: int) -> str | None:
    try:
        bus_id: str = cupy.cuda.runtime.deviceGetPCIBusId(index)
    except cupy.cuda.runtime.CUDARuntimeError:
        return None
    return bus_id


def open_accelerator(address: str, device: Device) -> CupyBackend:
    """Return the backend on a CUDA device such as cuda:0."""
    return CupyBackend(address, device)
