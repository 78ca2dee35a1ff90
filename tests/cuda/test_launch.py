"""Programs and launches follow from kernel, size and device, and refuse what a device would misread."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from cuda_check import CASES, TABLE, workspace_bytes
from hypothesis import given
from hypothesis import strategies as st

from bandmark_kernels import DTYPES, KERNELS, QUANTIZED, Kernel, Shape
from bandmark_kernels.core.cuda import (
    _FP4,
    _FP4_TARGETS,
    VARIANTS,
    exact_scalars,
    fp4_probe,
    lacking,
    launches,
    program,
    variants,
)
from bandmark_kernels.core.launch import clock_probe, delay

MIB = 1 << 20
kernels = st.sampled_from(list(TABLE.values()))
cases = st.sampled_from([(TABLE[kernel], DTYPES[dtype]) for kernel, dtype in CASES])
dtypes = st.sampled_from(list(DTYPES.values()))
sm_counts = st.integers(1, 200)
MATRICES = [k for k in KERNELS.values() if k.suite == "gemv"]


def shape_of(kernel: Kernel, elements: int, m: int) -> Shape:
    """Return a size of about so many elements: a matrix has m rows, or as many as columns of its own need."""
    if not kernel.is_matrix:
        return Shape(elements)
    columns = kernel.columns or -(-elements // m // kernel.column_multiple) * kernel.column_multiple
    return Shape(columns, -(-elements // columns) if kernel.columns else m)


def values(kernel: Kernel, dtype: str) -> dict[str, Any]:
    """Return one valid argument per name of a kernel."""
    number = DTYPES[dtype]
    arrays = {
        o.name: np.zeros(4, number.accumulator if o.role == "result" else o.stored_as(number)) for o in kernel.operands
    }
    return {**arrays, "workspace": np.zeros(4, number.accumulator), **exact_scalars(kernel, number, kernel.scalars)}


@pytest.mark.parametrize(("label", "dtype"), CASES)
def test_arguments_have_exact_widths(label: str, dtype: str) -> None:
    """Scalars arrive in the accumulator's type and counts as unsigned 64-bit numbers, whatever the kernel."""
    kernel = TABLE[label]
    prog = program(kernel, DTYPES[dtype], "v16", capability=(9, 0))
    for step in launches(prog, shape_of(kernel, 1 << 24, 4096), sm_count=48).steps:
        scalars = [a.dtype.name for a in step.arguments(values(kernel, dtype)) if isinstance(a, np.generic)]
        assert set(scalars) <= {DTYPES[dtype].accumulator, "uint64"}
        assert scalars[-1] == "uint64"


@pytest.mark.parametrize("wrong", [0.5, 1, np.float64(0.5), np.float16(0.5), np.array(0.5, np.float32)])
def test_scalar_of_another_width_is_refused(wrong: object) -> None:
    """A bare Python number or a NumPy scalar of another type is refused with both types' names."""
    step = launches(program(KERNELS["triad"], DTYPES["float32"], "v16", capability=(9, 0)), Shape(9), sm_count=1).steps[
        0
    ]
    with pytest.raises(TypeError, match=r"bandmark_triad: s must be a numpy.float32 scalar, not "):
        step.arguments(values(KERNELS["triad"], "float32") | {"s": wrong})


@pytest.mark.parametrize("wrong", [0, np.float32(0), np.zeros(3, np.float64), np.zeros(3, np.uint16)])
def test_array_of_another_width_is_refused(wrong: object) -> None:
    """An address or an array with elements of another width is refused."""
    step = launches(program(KERNELS["triad"], DTYPES["float32"], "v16", capability=(9, 0)), Shape(9), sm_count=1).steps[
        0
    ]
    with pytest.raises(TypeError, match=r"bandmark_triad: c must be an array of float32, not "):
        step.arguments(values(KERNELS["triad"], "float32") | {"c": wrong})


def test_missing_argument_is_named() -> None:
    """An argument that was left out is named."""
    step = launches(program(KERNELS["copy"], DTYPES["float32"], "v16", capability=(9, 0)), Shape(9), sm_count=1).steps[
        0
    ]
    with pytest.raises(KeyError, match="b"):
        step.arguments({"a": np.zeros(9, np.float32)})


def test_wide_loads_need_a_device_that_has_them() -> None:
    """v32 is offered from compute capability 10.0 on, but for attention, and refused by name below."""
    for kernel in KERNELS.values():
        assert "v32" not in variants(kernel, (9, 0))
        assert ("v32" in variants(kernel, (10, 0))) == (kernel.columns is None)
    with pytest.raises(ValueError, match=r"no variant 'v32' of copy on compute capability 9\.0; choose one of v16, "):
        program(KERNELS["copy"], DTYPES["float32"], "v32", capability=(9, 0))


def test_bulk_copies_need_a_device_that_has_them() -> None:
    """v16-bulk is offered from compute capability 9.0 on, and what a device is too old for is told below."""
    assert ["v16-bulk" in variants(KERNELS["copy"], c) for c in ((8, 0), (8, 9), (9, 0), (12, 1))] == [
        False,
        False,
        True,
        True,
    ]
    assert {*lacking(KERNELS["copy"], (8, 9))} == {"v32", "v32-stream", "v16-bulk"}
    assert lacking(KERNELS["copy"], (10, 0)) == lacking(KERNELS["kv"], (8, 0)) == {}


@pytest.mark.parametrize(("capability", "shared_kib"), [((9, 0), 228), ((10, 3), 228), ((12, 1), 100)])
def test_rings_of_bulk_copies_fit_the_shared_memory(capability: tuple[int, int], shared_kib: int) -> None:
    """As many blocks as are started on a multiprocessor have room there: each has its stages, and a KiB and a half."""
    prog = program(KERNELS["copy"], DTYPES["float32"], "v16-bulk", capability=capability)
    stage = prog.layout.threads * prog.layout.unroll * prog.pack_bytes
    ring = int(str(prog.cuda.macros["STAGES"])) * stage
    assert stage == 8192 and prog.layout.blocks_per_sm * (ring + 1536) <= shared_kib * 1024
    plan = launches(prog, Shape(1 << 30), sm_count=148)
    assert plan.steps[0].grid == (prog.resident(148), 1, 1)


def test_old_devices_are_refused() -> None:
    """A device before Ampere is refused with what is needed."""
    with pytest.raises(ValueError, match=r"compute capability 7\.5: the kernels need 8\.0 or above"):
        program(KERNELS["copy"], DTYPES["float32"], "v16", capability=(7, 5))


@given(kernels, st.sampled_from([(8, 0), (8, 9), (9, 0), (10, 3), (12, 1)]))
def test_default_variant_is_the_same_everywhere(kernel: Kernel, capability: tuple[int, int]) -> None:
    """The default loads 16 bytes for every kernel and device, and converts e2m1 natively where the device can."""
    can = capability in _FP4_TARGETS and kernel.label in ("gemv nvfp4", "gemv mxfp4")
    assert variants(kernel, capability)[0] == (VARIANTS[0] + _FP4 if can else VARIANTS[0])
    assert variants(kernel, capability, fp4=False)[0] == VARIANTS[0]


def test_native_conversion_needs_a_target_of_its_own() -> None:
    """Variants with -fp4 ask for the device's own architecture, as the probe does, and no others do."""
    for capability, target in _FP4_TARGETS.items():
        for kernel in QUANTIZED.values():
            for variant in variants(kernel, capability):
                made = program(kernel, DTYPES["float32"], variant, capability=capability)
                asked = [o for o in made.options if o.startswith("-arch=")]
                assert asked == ([f"-arch={target}"] if variant.endswith(_FP4) else [])
                assert f"-DNATIVE_FP4={int(variant.endswith(_FP4))}" in made.options
        code, options, entry = fp4_probe(capability) or ("", (), "")
        assert (options, f"void {entry}(" in code) == ((f"-arch={target}",), True)
    assert fp4_probe((9, 0)) is None
    with pytest.raises(ValueError, match=r"no variant 'v16-fp4' of gemv nvfp4 on compute capability 9\.0"):
        program(QUANTIZED["nvfp4"], DTYPES["float32"], "v16-fp4", capability=(9, 0))


@given(cases, sm_counts, st.integers(1, 1 << 33), st.data())
def test_grids_are_legal(case: tuple[Kernel, Any], sm_count: int, n: int, data: st.DataObject) -> None:
    """No grid is empty or beyond CUDA's limits, for any size up to 2 ** 33 elements and 2 ** 32 rows."""
    kernel, dtype = case
    shape = shape_of(kernel, n, data.draw(st.integers(1, min(n, 1 << 32))))
    for variant in variants(kernel, (12, 0)):
        plan = launches(program(kernel, dtype, variant, capability=(12, 0)), shape, sm_count=sm_count)
        assert all(0 < step.grid[0] < 2**31 and 0 < step.grid[1] < 2**16 for step in plan.steps)
        assert plan.workspace_elements > 0 or len(plan.steps) == 1


@given(cases, st.integers(1, 200), st.integers(0, 20), st.integers(0, 10**6))
def test_workspace_is_below_one_percent_at_memory_size(
    case: tuple[Kernel, Any], sm_count: int, shift: int, more: int
) -> None:
    """From 256 MiB on, writing and reading the workspace moves less than 1 % of the counted bytes."""
    kernel, dtype = case
    elements = 8 * 256 * MIB // kernel.element_bits(dtype)
    rows = (1 << shift) + more % (1 << shift)
    shape = shape_of(kernel, elements if kernel.is_matrix else elements + more, rows)
    prog = program(kernel, dtype, "v16", capability=(12, 0))
    plan = launches(prog, shape, sm_count=sm_count)
    counted = kernel.bytes_read(shape, dtype) + kernel.bytes_written(shape, dtype)
    assert 2 * workspace_bytes(plan) < counted / 100


@given(dtypes, st.integers(4096, 1 << 15), st.integers(4096, 1 << 15), sm_counts)
def test_matrices_occupy_the_device(dtype: Any, m: int, n: int, sm_count: int) -> None:
    """A matrix of a model's size has at least half as many blocks as fit the device at once."""
    for kernel in MATRICES:
        prog = program(kernel, dtype, "v16", capability=(10, 3))
        grid = launches(prog, Shape(n, m), sm_count=sm_count).steps[0].grid
        assert 2 * grid[0] * grid[1] >= sm_count * prog.layout.blocks_per_sm or grid[1] == m // 128


@given(st.sampled_from(list(QUANTIZED.values())), st.integers(2, 1 << 9), st.integers(1, 1 << 15), sm_counts)
def test_packed_rows_are_split_where_they_are_few(kernel: Kernel, columns: int, m: int, sm_count: int) -> None:
    """Half the device has blocks, or each split is one tile: and only then is there a finishing launch."""
    prog = program(kernel, DTYPES["float32"], "v16", capability=(10, 3))
    shape, tile = Shape(64 * columns, m), 32 * prog.layout.unroll * prog.lanes
    plan = launches(prog, shape, sm_count=sm_count)
    blocks, splits, _ = plan.steps[0].grid
    assert blocks == -(-m // 16)
    assert 2 * blocks * splits >= sm_count * prog.layout.blocks_per_sm or splits == max(1, shape.n // tile)
    assert splits == 1 or splits <= shape.n // tile
    assert len(plan.steps) == (2 if splits > 1 else 1)


@pytest.mark.parametrize("name", QUANTIZED)
def test_scales_that_a_format_has_not_are_null(name: str) -> None:
    """Every format's kernel takes the same arguments: codes, both kinds of scales or null, x, y, workspace, counts."""
    kernel = QUANTIZED[name]
    step = launches(program(kernel, DTYPES["float32"], "v16", capability=(9, 0)), Shape(64, 5), sm_count=1).steps[0]
    names = {o.name for o in kernel.operands}
    assert [a.name for a in step.args] == ["codes", "scales", "tensor_scale", "x", "y", "workspace", "m", "n"]
    given = step.arguments(values(kernel, "float32"))
    assert [isinstance(a, np.ndarray) for a in given[:3]] == [n in names for n in ("codes", "scales", "tensor_scale")]
    assert all(a == np.uint64(0) and a.dtype == np.uint64 for a in given[:3] if not isinstance(a, np.ndarray))


def test_reductions_fit_the_device_at_once() -> None:
    """A large reduction has as many blocks as are resident, so its workspace does not grow with the array."""
    prog = program(KERNELS["dot"], DTYPES["float32"], "v16", capability=(10, 3))
    plan = launches(prog, Shape(1 << 30), sm_count=148)
    assert plan.steps[0].grid == (148 * prog.layout.blocks_per_sm, 1, 1)
    assert plan.workspace_elements == plan.steps[0].grid[0]


def test_constants_of_the_optimizer_are_worked_out_on_the_host() -> None:
    """Its kernels take what the scalars give, in float32, in the order of the source; a tile has LANES of the state."""
    kernel, dtype = KERNELS["adamw_master"], DTYPES["bfloat16"]
    prog = program(kernel, dtype, "v16", capability=(9, 0))
    (step,) = launches(prog, Shape(4096), sm_count=48).steps
    found = [(a.name, a.dtype) for a in step.args]
    assert found == [
        *(("p", "uint16"), ("g", "uint16"), ("master", "float32"), ("m", "float32"), ("v", "float32")),
        *((name, "float32") for name in ("decay", "gain1", "gain2", "root", "floor")),
        ("n", "uint64"),
    ]
    assert prog.lanes == 4
    assert "-DELEMENT=float32" in prog.options
    assert step.grid == (4096 // (4 * prog.layout.unroll * prog.layout.threads), 1, 1)


def test_compiler_messages_name_the_right_file() -> None:
    """The text says where prelude.cu ends and the kernel's own file begins."""
    prog = program(KERNELS["gemv_t"], DTYPES["float16"], "v16", capability=(9, 0))
    assert prog.source.startswith('#line 1 "prelude.cu"\n')
    assert prog.source.count('#line 1 "gemv_t.cu"\n') == 1
    assert "#include" not in prog.source


def test_probes_take_their_arguments_in_exact_widths() -> None:
    """The delay's duration and the clock's array are 64 bits wide."""
    assert delay(1500)[1].arguments() == (np.uint64(1500),)
    step = clock_probe(7)[1]
    assert step.grid == (7, 1, 1)
    with pytest.raises(TypeError, match="out must be an array of uint64, not ndarray of float32"):
        step.arguments({"out": np.zeros(21, np.float32)})


@pytest.mark.parametrize(("label", "dtype"), CASES)
def test_macros_follow_from_the_variant(label: str, dtype: str) -> None:
    """Cache hints, bytes of a load and the walk over tiles are those that the name says."""
    kernel = TABLE[label]
    for variant in variants(kernel, (10, 3)):
        options = program(kernel, DTYPES[dtype], variant, capability=(10, 3)).options
        assert f"-DSTREAMING={int('-stream' in variant)}" in options
        assert f"-DPACK_BYTES={re.match(r'v([0-9]+)', variant)[1]}" in options  # type: ignore[index]
        strides = "gridstride" in variant or kernel.is_reduction
        assert [o for o in options if o.startswith("-DGRID_STRIDE=")][-1] == f"-DGRID_STRIDE={int(strides)}" or strides


@pytest.mark.parametrize("capability", [(8, 0), (8, 9), (9, 0), (10, 3), (12, 1)])
@pytest.mark.parametrize(("label", "dtype"), CASES)
def test_layouts_fit_a_multiprocessor(label: str, dtype: str, capability: tuple[int, int]) -> None:
    """The blocks that are to be resident fit its threads: 48 warps on compute capability 8.9 and 12, 64 elsewhere."""
    layout = program(TABLE[label], DTYPES[dtype], "v16", capability=capability).layout
    warps = layout.threads // 32 * layout.blocks_per_sm
    assert 8 <= warps <= (48 if capability in ((8, 9), (12, 1)) else 64)
    assert layout.threads % 32 == 0 and layout.unroll >= 1


def test_attention_in_fp8_has_more_blocks_where_an_instruction_converts() -> None:
    """From compute capability 8.9 on, not 9.0, codes of a cache need no registers for their conversion."""
    blocks = {
        c: program(TABLE["kv fp8"], DTYPES["float16"], "v16", capability=c).layout.blocks_per_sm
        for c in ((8, 6), (8, 9), (9, 0))
    }
    assert blocks[8, 6] < blocks[8, 9] == blocks[9, 0]


@given(cases, sm_counts, st.integers(1, 1 << 26))
def test_no_block_is_idle(case: tuple[Kernel, Any], sm_count: int, n: int) -> None:
    """With one block fewer, a vector kernel's tiles would not all be taken at once or as many as are resident."""
    kernel, dtype = case
    if kernel.is_matrix:
        return
    for variant in variants(kernel, (12, 0)):
        prog = program(kernel, dtype, variant, capability=(12, 0))
        (blocks, *_) = launches(prog, Shape(n), sm_count=sm_count).steps[0].grid
        tile = prog.layout.threads * prog.layout.unroll * prog.lanes
        assert blocks == 1 or (blocks - 1) * tile < n


@given(st.sampled_from([*MATRICES, *QUANTIZED.values()]), sm_counts, st.integers(0, 12), st.integers(0, 12))
def test_no_work_is_split_early(kernel: Kernel, sm_count: int, rows: int, columns: int) -> None:
    """Parts are only made where the device would not be full of whole blocks, or each part is many rows long."""
    prog = program(kernel, DTYPES["float32"], "v16", capability=(10, 3))
    shape = Shape(64 << columns, 1 << rows)
    blocks, splits, _ = launches(prog, shape, sm_count=sm_count).steps[0].grid
    long_parts = shape.count("m") // splits >= 512
    assert splits == 1 or blocks * (splits - 1) < prog.resident(sm_count) or long_parts
