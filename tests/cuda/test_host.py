"""The CUDA sources, executed on the CPU thread by thread, do what the kernel table says, access by access."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cuda_check import (
    ALL_CASES,
    CASES,
    TABLE,
    awkward_shapes,
    call,
    fill,
    host_source,
    make_program,
    many_tiles,
    workspace_bytes,
    wrong_roundings,
)
from cuda_host import Host, Source, allocate

from bandmark_kernels import DTYPES, KERNELS, Kernel, Shape
from bandmark_kernels.core.checks import make_inputs
from bandmark_kernels.core.cuda import exact_scalars, launches
from bandmark_kernels.core.launch import clock_probe, delay, repeats

SUMS = [name for name, kernel in TABLE.items() if kernel.is_reduction or kernel.is_matrix]
HALVES = ["float16", "bfloat16"]


def _split(kernel: Kernel, gemv: Shape, gemv_t: Shape) -> Shape:
    """Return a size at which a sum takes a finishing launch: of attention, packed weights, a GEMV or vectors."""
    if kernel.columns:
        return Shape(kernel.columns, 523)
    if kernel.weight_format:
        return Shape(16_384 + 64, 3)
    return {"gemv": gemv, "gemv_t": gemv_t}.get(kernel.name, Shape(70_001))


@pytest.mark.parametrize(("kernel", "dtype", "variant"), ALL_CASES)
def test_right_and_exact_at_awkward_sizes(host: Host, kernel: str, dtype: str, variant: str) -> None:
    """Every variant computes its formula and moves exactly the counted bytes at every awkward size."""
    prog = make_program(TABLE[kernel], DTYPES[dtype], variant)
    for shape in awkward_shapes(prog):
        outcome = call(host, prog, shape, sm_count=48)
        assert outcome.findings == (), f"{shape}"


@pytest.mark.parametrize(
    ("kernel", "dtype", "variant"),
    [c for c in ALL_CASES if TABLE[c[0]].is_reduction or "grid" in c[2] or "bulk" in c[2]],
)
def test_blocks_walk_over_many_tiles(host: Host, kernel: str, dtype: str, variant: str) -> None:
    """With fewer blocks than tiles each tile is still taken exactly once."""
    prog = make_program(TABLE[kernel], DTYPES[dtype], variant)
    shape = many_tiles(prog)
    assert launches(prog, shape, sm_count=1).steps[0].grid[0] == prog.resident(1) < 10
    assert call(host, prog, shape, sm_count=1).findings == ()


@pytest.mark.parametrize(
    ("kernel", "dtype"),
    [pytest.param(k, d, marks=[pytest.mark.slow] * (d == "bfloat16")) for k, d in CASES if k in SUMS],
)
def test_sums_have_the_same_bits_whatever_the_order_of_threads(host: Host, kernel: str, dtype: str) -> None:
    """A sum does not depend on which thread comes first, and needs no reset between calls."""
    prog = make_program(TABLE[kernel], DTYPES[dtype])
    shape = _split(prog.kernel, Shape(9001, 3), Shape(131, 1030))
    outcomes = [
        call(host, prog, shape, sm_count=4),
        call(host, prog, shape, sm_count=4, backwards=True),
        call(host, prog, shape, sm_count=4, calls=2),
    ]
    assert [o.findings for o in outcomes] == [(), (), ()]
    assert len({o.outputs[prog.kernel.output.name].tobytes() for o in outcomes}) == 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", ["v16", "v16-bulk"])
def test_copy_keeps_every_bit(host: Host, dtype: str, variant: str) -> None:
    """Copy moves NaN payloads, signalling NaNs and subnormals unchanged."""
    prog = make_program(KERNELS["copy"], DTYPES[dtype], variant)
    shape = Shape(65_536 + 3)
    arrays = allocate(dict.fromkeys(("a", "b"), (shape.n, DTYPES[dtype].storage)))
    bits = np.random.default_rng(5).integers(0, 256, arrays["a"].nbytes, np.uint8)
    arrays["a"].view(np.uint8)[:] = bits
    error, _ = host.run(host_source(prog), launches(prog, shape, sm_count=2).steps, arrays)
    assert error == ""
    assert arrays["b"].tobytes() == bits.tobytes()


@pytest.mark.parametrize(("dtype", "bits"), [("float32", 0x7FA0_1234), ("float64", 0xFFF4_0000_DEAD_BEEF)])
def test_write_keeps_every_bit(host: Host, dtype: str, bits: int) -> None:
    """Write stores its scalar bit by bit, a signalling NaN too, where the scalar has the operands' width."""
    prog = make_program(KERNELS["write"], DTYPES[dtype])
    shape = Shape(1003)
    scalar = np.array([bits], f"u{DTYPES[dtype].itemsize}").view(dtype)[0]
    arrays = allocate({"a": (shape.n, dtype)})
    error, _ = host.run(host_source(prog), launches(prog, shape, sm_count=2).steps, {**arrays, "s": scalar})
    assert error == ""
    assert set(arrays["a"].view(f"u{DTYPES[dtype].itemsize}").tolist()) == {bits}


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("s", [1.0, 1 / 3, 1 + 2**-12, 2.0**-13, 7.0])
def test_halves_round_like_the_reference(host: Host, dtype: str, s: float) -> None:
    """Conversions from and to half precision are right for every bit pattern, ties and subnormals included."""
    assert wrong_roundings(host, make_program(KERNELS["scale"], DTYPES[dtype]), s) == 0


@pytest.mark.parametrize("kernel", [name for name in SUMS if not TABLE[name].columns])
def test_workspace_traffic_is_what_the_plan_says(host: Host, kernel: str) -> None:
    """The workspace is written once and read once: its real traffic is twice its size.

    Of attention each element of out takes the weights of its head from there once more, which the cache has by then.
    """
    prog = make_program(TABLE[kernel], DTYPES["float32"])
    shape = _split(prog.kernel, Shape(16_384, 2), Shape(64, 1030))
    plan = launches(prog, shape, sm_count=2)
    assert len(plan.steps) == 2
    assert call(host, prog, shape, sm_count=2).workspace_traffic == 2 * workspace_bytes(plan)


def test_delay_returns_at_once_without_a_device_clock(host: Host) -> None:
    """Compiled without a device, the delay kernel ends, however long it is asked to wait."""
    text, step = delay(10**18)
    error, _ = host.run(Source(text, (), (step.entry,)), [step], {})
    assert error == ""


def test_clock_probe_fills_its_records(host: Host) -> None:
    """Compiled without a device, the probe writes 0, 1 and 2 to the fields of each record, in their order and once."""
    text, step = clock_probe(5)
    arrays = allocate({"out": (15, "uint64")})
    error, traffic = host.run(Source(text, (), (step.entry,)), [step], arrays)
    assert error == ""
    assert arrays["out"].tolist() == [0, 1, 2] * 5
    assert (traffic["out"].written, traffic["out"].written_once) == (120, 120)


@pytest.mark.parametrize("dtype", ["uint16", "float32", "float64"])
def test_elements_that_differ_from_the_period_before_are_counted(host: Host, dtype: str) -> None:
    """Every element behind the first period is compared by its bits, at the block of its thread; NaN equals NaN."""
    n, period = 2 * 256 * 5 + 77, 131
    text, options, step = repeats(dtype, 2, period, n)
    arrays = allocate({"a": (n, dtype), "differs": (2, "uint64")})
    source_of = Source(text, options, (step.entry,))
    for changed, found in (({}, 0), ({0}, 1), ({period}, 2), ({n - 1}, 1), ({500, 1200}, 4)):
        arrays["a"][:] = np.resize(np.arange(period), n)
        arrays["a"].view("u1")[: n * arrays["a"].itemsize] |= 0x80
        for index in changed:
            arrays["a"].view(f"u{arrays['a'].itemsize}")[index] ^= 1
        error, traffic = host.run(source_of, [step], arrays)
        assert (error, arrays["differs"].sum()) == ("", found)
        assert traffic["a"].read_once == arrays["a"].nbytes


@pytest.mark.parametrize("kernel", [name for name, kernel in KERNELS.items() if kernel.is_reduction])
def test_more_blocks_than_the_finishing_block_has_threads(host: Host, kernel: str) -> None:
    """On a device with room for over 256 blocks, as an H100 has for 396, every block's sum is part of the result."""
    prog = make_program(KERNELS[kernel], DTYPES["float32"])
    tile = prog.layout.threads * prog.layout.unroll * prog.lanes
    shape = Shape(259 * tile + 7)
    assert launches(prog, shape, sm_count=132).steps[0].grid[0] == 260 > prog.layout.threads
    assert call(host, prog, shape, sm_count=132).findings == ()
    lost = prog.source.replace("i < count; i += THREADS", "i < count && i < THREADS; i += THREADS")
    assert lost != prog.source
    (finding,) = call(host, prog, shape, sm_count=132, text=lost).findings
    assert finding.startswith("wrong")


def test_arguments_in_another_order_are_found(host: Host) -> None:
    """A launch whose arguments have other types than the kernel's parameters does not run."""
    prog = make_program(KERNELS["triad"], DTYPES["float32"])
    step = launches(prog, Shape(5), sm_count=1).steps[0]
    swapped = replace(step, args=(*step.args[:3], step.args[4], step.args[3]))
    arrays = allocate(dict.fromkeys("abc", (5, "float32")))
    error, _ = host.run(host_source(prog), [swapped], arrays | exact_scalars(prog.kernel, prog.dtype, {"s": 1}))
    assert error == "signature: bandmark_triad takes pppfu, the launch passes pppuf"


def test_inputs_reach_the_last_element(host: Host) -> None:
    """The operands of a check are filled to their ends, with a reduction's outstanding last element in place."""
    inputs = make_inputs(KERNELS["dot"], DTYPES["float32"], Shape(5), seed=1)
    arrays = allocate({"a": (5, "float32"), "b": (5, "float32")})
    fill(arrays, inputs)
    assert np.isfinite(arrays["a"]).all()
    assert arrays["a"][-1] == inputs.ends["a"][0]
