"""What a launch of a CUDA kernel does on the stand-in for CuPy: checks, time, and what the kernel computes.

Arguments are checked against the signature in the CUDA source, which CUDA itself can't do.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from bandmark_kernels import DTYPES, KERNELS, QUANTIZED, Kernel, find_kernel
from bandmark_kernels.core.dtypes import dequantize
from bandmark_kernels.memory.places import first_of_stride
from bandmark_kernels.memory.places import follow as places_of
from cupy_errors import CompileException, CUDADriverError


def is_device_array(value: Any) -> bool:
    """Return whether something is an array on the device, and no scalar of NumPy's."""
    return hasattr(value, "host")


@dataclass(frozen=True)
class Launched:
    """One launch as the device sees it: arguments by the names in the CUDA source."""

    entry: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    values: dict[str, Any]

    @property
    def array_bytes(self) -> int:
        """Bytes of all arrays but the workspace."""
        return sum(v.nbytes for k, v in self.values.items() if is_device_array(v) and k not in ("partials", "out"))


Law = Callable[[Launched], float]
"""How many seconds a launch takes on the device."""


SIGNATURE = re.compile(r'extern "C" __global__ void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\(([^)]*)\)')
PARAMETER = re.compile(r"(const )?(unsigned long long|\w+)(\*?)\s*(?:__restrict__ )?(\w+)")


class Module:
    """A source; it is compiled when the first function is taken from it."""

    def __init__(self, device: Any, code: str, options: Any) -> None:
        assert isinstance(code, str)
        if not isinstance(options, tuple):
            raise TypeError(f"Argument 'options' has incorrect type (expected tuple, got {type(options).__name__})")
        self.device, self.code, self.options = device, code, options
        element = next((o.split("=")[1] for o in options if o.startswith("-DELEMENT=")), "float32")
        self.dtype = DTYPES[element]
        self.macros = dict(o.removeprefix("-D").split("=", 1) for o in options if o.startswith("-D"))

    def kernel(self, name: str) -> Kernel:
        """Return the kernel that an entry point of this name computes with the source's macros."""
        if "WEIGHTS" in self.macros:
            return QUANTIZED[self.macros["WEIGHTS"]]
        if name != "kv":
            return KERNELS[name]
        group, kv_heads, head_dim, fp8 = (int(self.macros[m]) for m in ("GROUP", "KV_HEADS", "HEAD_DIM", "FP8"))
        return find_kernel(name, "fp8" if fp8 else None, (group * kv_heads, kv_heads, head_dim))

    def get_function(self, entry: str) -> Function:
        """Compile for the current device, once, and return an entry point."""
        device = self.device
        if device.gpu.compile_log is not None:
            raise CompileException(device.gpu.compile_log)
        if device.gpu.refused_option in self.options:
            raise CompileException(f"nvrtc: error: invalid value for --gpu-architecture ({device.gpu.refused_option})")
        key = (device.index, self.code, self.options)
        if key not in device.compiled:
            device.compiled.append(key)
        found = dict(SIGNATURE.findall(self.code))
        if entry not in found:
            raise CUDADriverError(500)
        return Function(self, entry, [PARAMETER.fullmatch(p.strip()) for p in found[entry].split(",")])


class Function:
    """An entry point, as CuPy's RawKernel."""

    def __init__(self, module: Module, entry: str, parameters: Sequence[Any]) -> None:
        self.device, self.element, self.entry = module.device, module.dtype, entry
        self.module = module
        name = entry.removeprefix("bandmark_").removesuffix("_finish").removesuffix("_ragged")
        only = KERNELS[name].dtypes if name in KERNELS else ()
        self.dtype = DTYPES[only[0]] if len(only) == 1 else self.element
        self.parameters = [(p[4], p[2], bool(p[3])) for p in parameters]
        self.kernel = SimpleNamespace(ptr=id(self))
        self.local_size_bytes = module.device.gpu.local_bytes
        self.num_regs = 32

    def __call__(self, grid: Any, block: Any, arguments: Any) -> None:
        """Check and queue a launch, and compute what it computes."""
        if not all(1 <= g <= most for g, most in zip(grid, (2**31 - 1, 65535, 65535), strict=True)):
            raise CUDADriverError(1)
        launch = Launched(self.entry, tuple(grid), tuple(block), self._values(arguments))
        gpu = self.device.gpu
        if self.entry in ROUTINES:
            self.device.queue(self.entry, gpu.law(launch))
            ROUTINES[self.entry](launch, gpu)
            return
        if self.device.captured is not None:
            self.device.captured.append(lambda: self._replay(launch, arguments))
            return
        helper = {"bandmark_delay": self._delay_s(launch), "bandmark_clock": 1e-6, "bandmark_repeats": 1e-6}
        begin = self.device.queue(self.entry, helper.get(self.entry, 0.0))
        if self.entry == "bandmark_clock":
            cycles, ns = gpu.read_counters(begin)
            launch.values["out"].host.reshape(-1, 3)[:] = [(sm, cycles, ns) for sm in range(grid[0])]
        if self.entry == "bandmark_repeats":
            items, period = (
                launch.values["a"].host.view(f"u{launch.values['a'].dtype.itemsize}"),
                int(launch.values["period"]),
            )
            launch.values["differs"].host[:] = 0
            launch.values["differs"].host[-1] = np.count_nonzero(items[period:] != items[:-period])
        if self.entry in helper:
            return
        self._run(launch, arguments)

    def _replay(self, launch: Launched, arguments: Any) -> None:
        self.device.log.append(self.entry)
        self._run(launch, arguments)

    def _run(self, launch: Launched, arguments: Any) -> None:
        """Let the device compute what the launch computes."""
        gpu = self.device.gpu
        self.device.line().free_at += gpu.law(launch)
        self.device.entries.add(self.entry)
        if self.device.recording:
            self.device.arguments.append(arguments)
        name = self.entry.removeprefix("bandmark_").removesuffix("_finish")
        if not (gpu.wrong & {self.entry, f"bandmark_{name.removesuffix('_ragged')}"} or gpu.wrong_if(launch)):
            compute(
                self.module.kernel(name.removesuffix("_ragged")), launch, self.dtype, finish="_finish" in self.entry
            )

    def _delay_s(self, launch: Launched) -> float:
        return int(launch.values.get("nanoseconds", 0)) * 1e-9 * self.device.gpu.delay_factor

    def _values(self, arguments: Any) -> dict[str, Any]:
        """Return the arguments by name, after a check of their number, order and exact types."""
        assert isinstance(arguments, tuple)
        assert len(arguments) == len(self.parameters), f"{self.entry} takes {len(self.parameters)} arguments"
        kinds = {
            "element": self.element.storage,
            "cached": "uint8" if self.module.macros.get("FP8") == "1" else self.element.storage,
            "bfloat16": DTYPES["bfloat16"].storage,
            "accumulator": self.dtype.accumulator,
            "float": "float32",
            "double": "float64",
            "u64": "uint64",
            "unsigned long long": "uint64",
        }
        for (name, kind, is_array), given in zip(self.parameters, arguments, strict=True):
            if name in ("scales", "tensor_scale", "k_scale", "v_scale") and not is_device_array(given):
                assert is_array and given == np.uint64(0), f"{self.entry}: {name} is neither an array nor null"
                continue
            assert is_device_array(given) == is_array, f"{self.entry}: {name} is {type(given)}"
            wanted = given.dtype if kind in ("void", "item") else np.dtype(kinds.get(kind, kind))
            assert given.dtype == wanted, f"{self.entry}: {name} is {given.dtype}, not {wanted}"
            assert not is_array or given.device is self.device
            here = self.device.index
            assert not is_array or given.home == here or (here, given.home) in self.device.enabled, "out of reach"
        return {name: given for (name, _, _), given in zip(self.parameters, arguments, strict=True)}


def follow(launch: Launched, gpu: Any) -> None:
    """Follow a ring of addresses on the host, at the clock of the device; of whole laps a single one."""
    state, hops = launch.values["state"].host, int(launch.values["hops"])
    address = start = int(state[0])
    if launch.entry not in gpu.wrong:
        for done in range(1, hops + 1):
            address = ctypes.c_uint64.from_address(address).value
            if address == start:
                for _ in range(hops % done):
                    address = ctypes.c_uint64.from_address(address).value
                break
    seconds = gpu.law(launch)
    state[:] = (address, int(seconds * gpu.clock_khz * 1e3), int(seconds * 1e9))


def add_passes(launch: Launched, gpu: Any) -> None:
    """Add up the tiles that each block comes past."""
    rounds, grid = int(launch.values["rounds"]), launch.grid[0]
    working = 0 if launch.entry in gpu.wrong else grid
    add_tiles(launch, [len(range(block, rounds, grid)) for block in range(working)])


def add_tiles(launch: Launched, counts: Sequence[int]) -> None:
    """Add up so many tiles of each block."""
    tiles, step = (int(launch.values[name]) for name in ("tiles", "step"))
    sums = launch.values["a"].host.reshape(tiles, -1).sum(axis=1)
    for block, count in enumerate(counts):
        launch.values["partials"].host[block] = sums[(block + np.arange(count) * step) % tiles].sum()


def follow_loaded(launch: Launched, gpu: Any) -> None:
    """Follow the ring while each block but those on the multiprocessor of the first reads a tile every 16 ns."""
    values, grid = launch.values, launch.grid[0]
    assert grid == 1 or grid <= gpu.sms * gpu.resident, "blocks that are not resident together wait for ever"
    assert not values["control"].host.any(), "the load would end before the chase begins"
    follow(launch, gpu)
    values["control"].host[:] = 1
    read = int(gpu.law(launch) / (16e-9 + int(values["pause"]) * 1e-9))
    counts = [0 if block % gpu.sms == 0 else read for block in range(grid)]
    values["counts"].host[:] = counts
    add_tiles(launch, counts if "tiles" not in gpu.wrong else [count // 2 for count in counts])


def visit(launch: Launched, gpu: Any) -> None:
    """Read or write the places of the accesses that follow, one after the other."""
    values = {name: v.host if is_device_array(v) else int(v) for name, v in launch.values.items()}
    words, missed = values["words"], int(launch.entry in gpu.wrong)
    if "launch" in values:
        index, step = np.arange(values["end"]), 1 << values["log_step"]
        launches = values["launch"] + (index >> values["log_count"])
        elements = (index & (1 << values["log_count"]) - 1) * step + first_of_stride(launches, step)
        values["partials"][:] = 0
        values["partials"][0] = words[elements[missed:]].sum(dtype=np.uint64)
        return
    granules = words.reshape(values["mask"] + 1, -1)
    places, _ = places_of(values["state"], values["visits"], len(granules))
    if "number" in values:
        numbers = values["number"] + 1 + np.arange(len(places), dtype=np.uint64)
        granules[places[: len(places) - missed]] = numbers[: len(places) - missed, None].astype(words.dtype)
        return
    values["partials"][:] = 0
    values["partials"][0] = granules[places[missed:]].sum(dtype=np.uint64)


ROUTINES: dict[str, Callable[[Launched, Any], None]] = {
    "bandmark_chase": follow,
    "bandmark_passes": add_passes,
    "bandmark_loaded_chase": follow_loaded,
    **dict.fromkeys(("bandmark_strided", "bandmark_gather", "bandmark_scatter"), visit),
}
"""What the entry points beside the kernel table do."""


def scalars_behind(kernel: Any, values: Any) -> dict[str, float]:
    """Return the scalars of a launch; where the device gets what follows from them, those that it follows from."""
    implementation = kernel.implementations["cupy"]
    if implementation.constants is None:
        return {name: float(values[name]) for name in kernel.scalars}
    for scalars in (kernel.scalars, kernel.check_scalars):
        constants = implementation.constants_for(scalars)
        if all(values[name] == type(values[name])(constant) for name, constant in constants.items()):
            return dict(scalars)
    raise AssertionError(f"{kernel.name}: {values} follow from neither the timed scalars nor those of the check")


def compute(kernel: Kernel, launch: Launched, dtype: Any, *, finish: bool) -> None:
    """Leave in memory what a launch of a right kernel leaves; scales of rows and tensors are in the partial sums."""
    values = launch.values
    partials = values["partials"].host if "partials" in values else None
    if finish:
        out = values[kernel.output.name].host
        count = int(values["count"]) if kernel.is_reduction else out.size
        splits = 1 if kernel.is_reduction else int(values.get("splits", 1))  # kv's ranges have no plain sum
        total = partials[:count] if kernel.is_reduction else partials[: splits * count].reshape(splits, count)
        summed = total.sum(axis=0, dtype=np.float64)
        out[...] = summed if kernel.is_reduction else dtype.encode(summed)
        return
    weights = getattr(kernel.check, "weights", None)
    plain = (o for o in kernel.inputs if weights is None or o.name == "x")
    operands = {o.name: o.number(dtype).decode(values[o.name].host) for o in plain}
    if weights:
        m, packed = int(values["m"]), {o.name: values[o.name].host for o in kernel.inputs if o.name != "x"}
        grouped = {"codes": True, "scales": weights.group is not None}
        packed = {name: a.reshape(m, -1) if grouped.get(name) else a for name, a in packed.items()}
        operands["A"] = dequantize(weights, packed)
    elif kernel.is_matrix:
        for operand in kernel.large:
            operands[operand.name] = operands[operand.name].reshape(int(values["m"]), -1)
    results = kernel.compute(**operands, **scalars_behind(kernel, values))
    if kernel.is_reduction or (kernel.is_matrix and launch.grid[1] > 1):
        result = np.atleast_1d(np.sum(*results.values())) if kernel.is_reduction else results[kernel.output.name]
        partials[:] = 0
        partials[: len(result)] = result
        return
    for operand in kernel.outputs:
        out = values[operand.name].host
        out[...] = operand.number(dtype).encode(np.broadcast_to(results[operand.name], out.shape))
