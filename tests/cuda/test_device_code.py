"""What only a device runs is right: inline PTX, which host execution passes by, and the machine code of it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import cubin
import pytest
from cuda_check import TABLE
from listing import loop

import bandmark_kernels
from bandmark_kernels import DTYPES
from bandmark_kernels.core.cuda import program, variants
from bandmark_kernels.core.launch import clock_probe, delay

SOURCES = sorted(Path(bandmark_kernels.__file__).parent.glob("*/*.cu"))
PINNED = Path(__file__).with_name("inline_ptx.txt")

DEVICE = ("__CUDA_ARCH__", "NATIVE_FP")
"""What is defined, or not 0, for a device alone."""


def device_branches(text: str) -> list[str]:
    """Return the lines of a source that are compiled where __CUDA_ARCH__ is defined alone, without indentation."""
    found, stack = [], [False]
    for line in (line.strip() for line in text.splitlines()):
        if re.match(r"#\s*if", line):
            stack.append(stack[-1] or ("ifndef" not in line and any(name in line for name in DEVICE)))
        elif re.match(r"#\s*elif", line):
            stack[-1] = stack[-2] or any(name in line for name in DEVICE)
        elif re.match(r"#\s*else", line):
            stack[-1] = stack[-2] if stack[-1] else stack[-1]
        elif re.match(r"#\s*endif", line):
            stack.pop()
        elif stack[-1] and line:
            found.append(line)
    return found


def inline_ptx() -> str:
    """Return what only a device runs, source by source."""
    parts = ((file.name, device_branches(file.read_text("utf-8"))) for file in SOURCES)
    return "".join(f"{name}\n" + "".join(f"    {line}\n" for line in lines) for name, lines in parts if lines)


def test_inline_ptx_is_as_reviewed() -> None:
    """Rounding modes, operand orders, waits, hints and loops of inline PTX stand in inline_ptx.txt, as reviewed.

    Who changes a line there has read it against the PTX ISA; `python tests/cuda/test_device_code.py` writes the file.
    """
    assert inline_ptx() == PINNED.read_text("utf-8")


def test_asm_stands_behind_a_guard() -> None:
    """Every asm statement is one that a host does not compile: none escapes the page above."""
    for file in SOURCES:
        text = file.read_text("utf-8")
        assert text.count("asm") == sum(line.count("asm") for line in device_branches(text)), file.name


def counts(kernel: str, dtype: str, variant: str, arch: int) -> Counter[str]:
    """How often each instruction stands in a kernel's main function."""
    prog = program(TABLE[kernel], DTYPES[dtype], variant, capability=divmod(arch, 10))
    function = cubin.disassembled(prog.source, prog.options, arch)[prog.entries[0]]
    return Counter(re.sub(r"^@\S+ ", "", i).split()[0] for i in function.instructions)


HINTS = [
    ("copy", "float32", "v16-stream", 90, {"LDG.E.NA.128.CONSTANT": 8, "STG.E.EF.128": 8}),
    ("copy", "float32", "v32-stream", 103, {"LDG.E.NA.EFL2.256.CONSTANT": 4, "STG.E.NA.EFL2.256": 4}),
    ("adamw", "float32", "v16-stream", 90, {"LDG.E.NA.128.CONSTANT": 4, "LDG.E.NA.128": 12, "STG.E.EF.128": 12}),
    ("gemv int8", "float32", "v16-stream", 90, {"LDG.E.NA.128": 12}),
    ("gemv int8", "float32", "v32-stream", 103, {"LDG.E.NA.EFL2.256": 8}),
    ("adamw_master", "bfloat16", "v16-stream", 90, {"LDG.E.NA.64.CONSTANT": 2, "STG.E.EF.64": 4}),
]


@pytest.mark.parametrize(("kernel", "dtype", "variant", "arch", "wanted"), HINTS)
def test_variants_have_the_hints_they_promise(
    kernel: str, dtype: str, variant: str, arch: int, wanted: dict[str, int]
) -> None:
    """Wide accesses of a stream variant leave no copy in L1 (NA), or go first (EF; EFL2 of L2), each of them."""
    found = counts(kernel, dtype, variant, arch)
    assert {name: found[name] >= least for name, least in wanted.items()} == dict.fromkeys(wanted, True)
    wide = [name for name in found if re.match(r"(LDG|STG)\b.*\.(128|256)", name)]
    assert wide and all("NA" in name or "EF" in name for name in wide)


@pytest.mark.parametrize(("variant", "arch"), [("v16", 90), ("v32", 103)])
def test_other_variants_have_no_hints(variant: str, arch: int) -> None:
    """Without -stream no access carries a hint."""
    assert variant in variants(TABLE["copy"], divmod(arch, 10))
    assert not any(re.search(r"\.(NA|EF|EFL2)\b", name) for name in counts("copy", "float32", variant, arch))


@pytest.mark.parametrize("arch", [90, 103, 121])
def test_bulk_copies_are_awaited_in_their_order(arch: int) -> None:
    """Each barrier is set up before its load; in the loop stand a wait, a store, a wait for its like, and a load."""
    prog = program(TABLE["copy"], DTYPES["float32"], "v16-bulk", capability=divmod(arch, 10))
    listing = cubin.disassembled(prog.source, prog.options, arch)[prog.entries[0]].instructions
    short = r"SYNCS\.(?:EXCH|ARRIVE|PHASECHK)|UBLKCP\.[SG]|FENCE\.VIEW|UTMACMDFLUSH|DEPBAR\.LE SB0, \w+"
    order = [m[0] for i in listing if (m := re.search(short, i))]
    stages = int(str(prog.cuda.macros["STAGES"]))
    begin = ["FENCE.VIEW", "SYNCS.EXCH", "FENCE.VIEW", "SYNCS.ARRIVE", "UBLKCP.S"]
    turn = ["SYNCS.PHASECHK", "FENCE.VIEW", "UBLKCP.G", "UTMACMDFLUSH", f"DEPBAR.LE SB0, {stages // 2:#x}"]
    assert order[: 5 * stages] == begin * stages
    assert order[5 * stages :][:7] == [*turn, "SYNCS.ARRIVE", "UBLKCP.S"]
    assert order[5 * stages + 7] == "DEPBAR.LE SB0, 0x0"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_round_to_nearest(dtype: str) -> None:
    """Conversions to halves carry no rounding mode but the default, nearest with ties to even."""
    short = {"float16": "F16", "bfloat16": "BF16"}[dtype]
    conversions = [name for name in counts("scale", dtype, "v16", 90) if name.startswith("F2F")]
    assert conversions == [f"F2FP.{short}.F32.PACK_AB"]


@pytest.mark.parametrize(("dtype", "product"), [("float16", "HMMA.16816.F32"), ("bfloat16", "HMMA.16816.F32.BF16")])
def test_products_are_those_of_the_dtype(dtype: str, product: str) -> None:
    """Attention multiplies in its own dtype and sums in float32, on the tensor cores, with the transposes it needs."""
    found = counts("kv", dtype, "v16", 90)
    assert [name for name in found if name.startswith("HMMA")] == [product]
    assert found["MOVM.16.MT88"] >= 2


@pytest.mark.parametrize("arch", [80, 90, 103, 121])
@pytest.mark.parametrize("kernel", ["kv", "kv fp8"])
def test_the_next_round_is_loaded_before_the_products(kernel: str, arch: int) -> None:
    """In the loop of v16-prefetch stand the loads of a round, the products of another, and both again the other way."""
    prog = program(TABLE[kernel], DTYPES["float16"], "v16-prefetch", capability=divmod(arch, 10))
    listing = cubin.disassembled(prog.source, prog.options, arch)[prog.entries[0]].instructions
    turn = loop(listing, r"\.(?:128|64)\b", 32)
    order = "".join("L" * ("LDG" in i) + "P" * ("HMMA" in i) for i in turn)
    products = 32 if TABLE[kernel].weight_format else 16
    assert order == 2 * ("L" * 16 + "P" * products)


def test_tiles_of_x_are_awaited_before_the_barrier() -> None:
    """Between the last asynchronous copy and the barrier behind which a tile is read stands a wait for all of them."""
    prog = program(TABLE["gemv int8"], DTYPES["float32"], "v16", capability=(9, 0))
    listing = cubin.disassembled(prog.source, prog.options, 90)[prog.entries[0]].instructions
    order = [m[0] for i in listing if (m := re.search(r"\b(LDGSTS|DEPBAR\.LE|BAR\.SYNC)\b", i))]
    waits = [k for k, name in enumerate(order) if name.startswith("BAR")]
    assert waits and all(order[k - 1] == "DEPBAR.LE" for k in waits)
    assert all(re.search(r"DEPBAR\.LE SB0, 0x0", i) for i in listing if "DEPBAR.LE" in i)


@pytest.mark.parametrize("arch", [80, 90, 103, 121])
def test_the_delay_reads_both_clocks_in_its_loop(arch: int) -> None:
    """The loop ends by the timer or by the cycles: both are read anew in it, and the branch back depends on both."""
    text, step = delay(1)
    listing = cubin.disassembled(text, (), arch)[step.entry].instructions
    labels = {name: k for k, name in enumerate(listing) if name.startswith(".")}
    backward = [(labels[m[1]], k) for k, i in enumerate(listing) if (m := re.search(r"BRA.*`\((\.L_\w+)\)", i))]
    body = max((listing[a:b] for a, b in backward if a < b), key=len)
    assert sum("SR_GLOBALTIMERLO" in i for i in body) == sum("SR_CLOCKLO" in i for i in body) == 1


@pytest.mark.parametrize("arch", [80, 90, 103, 121])
def test_the_clock_record_has_its_fields_in_order(arch: int) -> None:
    """Multiprocessor, cycles, nanoseconds are read in this order; test_host.py sees where they are written."""
    text, step = clock_probe(1)
    listing = cubin.disassembled(text, (), arch)[step.entry].instructions
    text_of = " ".join(listing)
    assert re.search(r"SR_\w*SMID", text_of) and "SR_CLOCKLO" in text_of and "SR_GLOBALTIMERLO" in text_of
    assert text_of.index("SMID") < text_of.index("SR_CLOCKLO") < text_of.index("SR_GLOBALTIMERLO")


if __name__ == "__main__":
    PINNED.write_text(inline_ptx(), "utf-8")
