"""NVIDIA's compiler makes of the CUDA sources what their design promises, on architectures of three generations."""

from __future__ import annotations

from dataclasses import replace

import cubin
import pytest
from cuda_check import TABLE
from listing import load_runs, loop, path_length
from sass import MAX_PER_BYTE, MIN_KIB_IN_FLIGHT, Line, Measured, cases, faults, judge, row
from sass_page import FIGURES, markdown

from bandmark_kernels import DTYPES, KERNELS
from bandmark_kernels.attention.kv import kv_kernel
from bandmark_kernels.core.cuda import Program, program
from bandmark_kernels.core.launch import clock_probe, delay, source

ARCHITECTURES = (90, 103, 121)
ONE_DTYPE = {label: min(kernel.dtypes, key=lambda d: d != "float32") for label, kernel in TABLE.items()}
"""float32, or what a kernel has in its place."""

SLICE = [(k, d, v, a) for k, d, v, a in cases(ARCHITECTURES) if v == "v16" or d == ONE_DTYPE[k]]
"""The default variant in every dtype, the others in one; `make sass` has them all."""

FIRST = {(label, dtype, "v16") for label, dtype in ONE_DTYPE.items()}
"""Of each kernel the default variant in one dtype; the others are tests of `make test-all`."""


def measured(kernel: str, dtype: str, variant: str, arch: int) -> Measured:
    """The figures of one row."""
    return row(kernel, dtype, variant, arch).measured


@pytest.fixture(scope="module")
def table() -> dict[tuple[str, str, str, int], Line]:
    """Every row of the slice."""
    return {case: row(*case) for case in SLICE}


@pytest.mark.parametrize(
    ("kernel", "dtype", "variant", "arch"),
    [pytest.param(*case, marks=[] if case[:3] in FIRST else pytest.mark.slow) for case in SLICE],
)
def test_machine_code_keeps_its_promises(kernel: str, dtype: str, variant: str, arch: int) -> None:
    """Loads are wide, early, read-only and enough, stores wide, and nothing spills, in every dtype and variant."""
    assert row(kernel, dtype, variant, arch).faults == ()


@pytest.mark.parametrize(
    "arch", [pytest.param(80, marks=pytest.mark.slow), 90, pytest.param(121, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("form", [(64, 8, 64, "fp8"), (32, 2, 128, None), (16, 8, 192, "fp8"), (64, 8, 256, None)])
def test_attention_of_other_heads(form: tuple[int, int, int, str | None], arch: int) -> None:
    """Nothing spills for any size of heads and groups, and as much is in flight as for those of the document.

    Of heads of 256 elements a round is 512 bytes, and there are registers for half of it at a time.
    """
    found = judge(program(kv_kernel(*form), DTYPES["float16"], "v16", capability=divmod(arch, 10)), arch)
    assert (found.measured.spills, found.measured.kib_in_flight >= 48) == (0, True)
    expected = ("in a run", "read-only") if form[2] == 256 else ()
    assert [fault for fault in found.faults if not any(words in fault for words in expected)] == []


@pytest.mark.parametrize(
    ("old", "new", "finds"),
    [
        ("__launch_bounds__(THREADS, BLOCKS_PER_SM)", "__launch_bounds__(THREADS, 7)", "stack and local memory"),
        ("__restrict__", "", "read-only"),
    ],
)
def test_attention_by_the_wrong_means_is_found(old: str, new: str, finds: str) -> None:
    """Cut to half of the registers attention spills, and without __restrict__ it may not take the read-only path."""
    prog = program(KERNELS["kv"], DTYPES["float16"], "v16", capability=(9, 0))
    changed = replace(prog, source=prog.source.replace(old, new))
    assert any(finds in fault for fault in judge(changed, 90).faults)


def _triad(arch: int) -> Program:
    return program(KERNELS["triad"], DTYPES["float32"], "v16", capability=divmod(arch, 10))


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_triad_without_restrict_fails(arch: int) -> None:
    """Without __restrict__ the compiler may not take the read-only path, and the check says so."""
    prog = _triad(arch)
    plain = prog.source.replace("__restrict__", "")
    assert plain != prog.source
    assert any("read-only" in fault for fault in judge(replace(prog, source=plain), arch).faults)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_scalar_copy_fails(arch: int) -> None:
    """A copy of one element a thread has no wide access, and the check says so for loads, stores and bytes."""
    prog = program(KERNELS["copy"], DTYPES["float32"], "v16", capability=divmod(arch, 10))
    scalar = """
extern "C" __global__ void bandmark_copy(const element* __restrict__ a, element* __restrict__ b, u64 n)
{
    const u64 i = (u64)blockIdx.x * THREADS + threadIdx.x;
    if (i < n) b[i] = a[i];
}
"""
    found = judge(replace(prog, source=source("prelude") + scalar), arch).faults
    assert [word for word in ("loads of 16 bytes", "stores of 16 bytes", "KiB in flight") if word in str(found)] == [
        "loads of 16 bytes",
        "stores of 16 bytes",
        "KiB in flight",
    ]


def test_spills_are_found() -> None:
    """A kernel that is given too few registers spills, and the check says so."""
    prog = _triad(90)
    crowded = prog.source.replace("__launch_bounds__(THREADS, BLOCKS_PER_SM)", "__launch_bounds__(1024, 2)")
    starved = replace(prog, source=crowded, options=(*prog.options, "-maxrregcount=24"))
    assert any("stack and local memory" in fault for fault in judge(starved, 90).faults)


def test_narrow_accesses_are_found() -> None:
    """Loads and stores are counted width by width: halves of what was promised do not make up for it."""
    prog = program(KERNELS["adamw_master"], DTYPES["bfloat16"], "v16", capability=(10, 3))
    whole = measured("adamw_master", "bfloat16", "v16", 103)
    assert faults(whole, prog, 103) == []
    split = replace(whole, load_bits={128: 5, 64: 4}, store_bits={128: 2, 64: 20})
    assert faults(split, prog, 103) == ["5 loads of 16 bytes in a run, not 6", "2 stores of 16 bytes, not 6"]


def test_too_few_bytes_in_flight_are_found() -> None:
    """A kernel that keeps less in flight than its architecture needs is named with both figures."""
    changed = replace(measured("copy", "float32", "v16", 103), kib_in_flight=MIN_KIB_IN_FLIGHT[103] - 1)
    prog = program(KERNELS["copy"], DTYPES["float32"], "v16", capability=(10, 3))
    assert faults(changed, prog, 103) == ["63 KiB in flight per multiprocessor, not 64"]


def test_too_many_instructions_are_found() -> None:
    """A kernel that needs more instructions than a multiprocessor issues while its bytes arrive is named."""
    changed = replace(measured("dot", "float32", "v16", 103), per_byte=MAX_PER_BYTE[103] + 0.1)
    prog = program(KERNELS["dot"], DTYPES["float32"], "v16", capability=(10, 3))
    assert faults(changed, prog, 103) == ["3.8 instructions per byte, more than 3.7"]


def test_instructions_per_byte_are_those_of_the_loop() -> None:
    """A reduction is judged by the loop over its tiles, a tile that is taken once by the way of a whole tile."""
    dot, copy, write = (measured(name, "float32", "v16", 103) for name in ("dot", "copy", "write"))
    assert dot.per_byte * 2 * 4 * 16 < dot.instructions / 2
    assert 2 * 4 < copy.per_byte * 2 * 4 * 16 < copy.instructions / 2
    assert write.per_byte == write.instructions / (4 * 16)


@pytest.mark.parametrize("kernel", ["copy", "triad", "nstream", "adamw"])
def test_the_way_of_a_whole_tile_is_about_as_long_as_the_loop_over_tiles(kernel: str) -> None:
    """The variant with a loop needs as many instructions per tile, but for what comes before and after the loop."""
    once, loop = (measured(kernel, "float32", variant, 103).per_byte for variant in ("v16", "v16-gridstride"))
    assert abs(once - loop) * KERNELS[kernel].traffic * 4 * 16 < 60


def test_loop_is_found() -> None:
    """The shortest loop with the loads counts, without its labels; a jump forward is no loop."""
    load = "LDG.E.128.CONSTANT R4, desc[UR4][R2.64]"
    listing = (
        ".L_x_0",
        "MOV R1, R2",
        ".L_x_1",
        load,
        load,
        "@P0 BRA `(.L_x_2)",
        ".L_x_2",
        "@!P0 BRA `(.L_x_1)",
        "@!P1 BRA `(.L_x_0)",
    )
    assert loop(listing, r"\.128\b", 2) == [load, load, "@P0 BRA `(.L_x_2)", "@!P0 BRA `(.L_x_1)"]
    assert loop(listing, r"\.128\b", 3) == []
    assert loop(listing, r"\.128\b", 0) == []


def test_the_shortest_way_passes_the_loads() -> None:
    """Branches and conditional exits are taken where that is shorter, labels cost nothing, and the loads are passed."""
    load = "LDG.E.128 R4, desc[UR4][R2.64]"
    listing = (
        "MOV R1, R2",
        "@P0 BRA `(.L_x_1)",
        "IADD3 R1, R1, R1, RZ",
        "EXIT",
        ".L_x_1",
        load,
        "@P1 EXIT",
        "NOP",
        "EXIT",
    )
    assert path_length(listing, [load]) == 4
    assert path_length(tuple(i.replace("@P0 ", "") for i in listing), [load]) == 4
    assert path_length(tuple(i.replace("@P1 EXIT", "NOP") for i in listing), [load]) == 6
    with pytest.raises(ValueError, match="no way"):
        path_length(tuple(i.replace("@P0 BRA `(.L_x_1)", "NOP") for i in listing), [load])


@pytest.mark.slow
def test_every_figure_of_the_design_is_met_or_explained(table: dict[tuple[str, str, str, int], Line]) -> None:
    """Each figure is about some rows; one without an explanation holds for all of them, others not for all."""
    for figure in FIGURES:
        about = [row for row in table.values() if figure.of(row)]
        assert about, figure.what
        unmet = [(row.kernel, row.dtype, row.variant, row.arch) for row in about if not figure.met(row)]
        assert bool(unmet) == bool(figure.unmet), (figure.what, unmet)


@pytest.mark.slow
def test_the_document_has_every_kernel_and_figure(table: dict[tuple[str, str, str, int], Line]) -> None:
    """The page has a table per kernel and a line per figure, with the explanation where there is one."""
    page = markdown(list(table.values()))
    for kernel in KERNELS.values():
        assert f"## {kernel.name}: {kernel.formula}" in page
    for figure in FIGURES:
        assert f"| {figure.what} | " in page and figure.unmet in page


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_probes_compile(arch: int) -> None:
    """The delay and clock kernels compile and read the device's clocks."""
    for (text, step), register in ((delay(1), "GLOBALTIMER"), (clock_probe(1), "CLOCK")):
        function = cubin.disassembled(text, (), arch)[step.entry]
        assert any(register in instruction for instruction in function.instructions)


def test_run_ends_at_the_first_use() -> None:
    """A run of loads ends where a loaded register is read, also in the middle of a wide one, and at a branch."""
    listing = (
        "LDG.E.128.CONSTANT R4, desc[UR4][R2.64]",
        "@P0 LDG.E.128.CONSTANT R8, desc[UR4][R2.64+0x1000]",
        "IADD3 R2, P0, R2, 0x10, RZ",
        "FADD R0, R7, R1",
        "LDG.E.128.CONSTANT R4, desc[UR4][R2.64]",
        "@P1 BRA `(.L_x_1)",
        "LDG.E.ENL2.256.CONSTANT R12, R16, desc[UR4][R2.64]",
        "LDG.E.64 R20, desc[UR4][R2.64]",
    )
    assert [len(run) for run in load_runs(listing, r"\.128\b") if run] == [2, 1]
    assert [len(run) for run in load_runs(listing, r"\.256\b") if run] == [1]


def test_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without NVIDIA's wheels the checks fail with the extra that brings them."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(cubin.MissingWheel, match=r"nvdisasm is missing.*pip install -e '\.\[test\]'"):
        cubin._find("bin", "nvdisasm")


def test_rejected_source_shows_the_compiler_message() -> None:
    """A source that does not compile fails with the compiler's words and the right file and line."""
    prog = _triad(90)
    with pytest.raises(ValueError, match=r'triad\.cu\(6\): error: identifier "nonsense" is undefined'):
        cubin.compile_cubin(prog.source.replace("    const auto one", "    nonsense; const auto one"), prog.options, 90)
