"""In which ways can gemv with packed weights be broken, and what must the checks say then?"""

from __future__ import annotations

from mutations import MISSED, OUT, RACE, TWICE, WRONG, Mutation

_NVFP4 = (
    ("rows one too many", "rows_whole = block_row + ROWS * WARPS <= m;", "rows_whole = block_row < m;", OUT),
    ("rows left over dropped", "ROLLED for (; first < end; first", "ROLLED for (; first < 0; first", MISSED),
    ("last row one too many", "WHOLE || r < warp.count", "WHOLE || r <= warp.count", f"{OUT}|{TWICE}"),
    ("columns one too many", "WHOLE || v + 32 * u < warp.end", "WHOLE || v + 32 * u <= warp.end", f"{OUT}|{TWICE}"),
    ("last pack dropped", "WHOLE || v + 32 * u < warp.end", "WHOLE || v + 32 * u + 1 < warp.end", MISSED),
    ("half the packs", "int u = 0; u < U; ++u)\n", "int u = 0; u < U; u += 2)\n", MISSED),
    ("rows swapped", "load_early(warp.codes + r *", "load_early(warp.codes + (ROWS - 1 - r) *", f"{WRONG}|{OUT}"),
    ("scales of one row", "warp.scales + r * warp.pitch", "warp.scales", f"{MISSED}|{TWICE}"),
    ("one scale a pack", "factors[r][g], sums", "factors[r][0], sums", WRONG),
    ("misaligned pack", "static_cast<const Pack*>(codes)", "(const Pack*)((const float*)codes + 1)", "misaligned"),
    ("tile not switched", "TILE_PACKS, which ^= 1", "TILE_PACKS", f"{WRONG}|{RACE}|before the block"),
    ("fetched over", "fetch(tiles[which ^ 1]", "fetch(tiles[which]", RACE),
    ("x one tile behind", "x, first + TILE_PACKS, end", "x, first, end", WRONG),
    ("x too long", "(u32)(end - first) * CHUNKS : 0", "TILE_PACKS * CHUNKS : 0", OUT),
    (
        "x of the neighbour",
        "threadIdx.x % 32) * (CHUNKS + 1)",
        "(threadIdx.x + 1) % 32) * (CHUNKS + 1)",
        f"{WRONG}|before",
    ),
    ("barriers removed", "__syncthreads();", ";", f"{RACE}|before the block has written"),
    ("barrier for some", "__syncthreads();", "if (threadIdx.x < 32) __syncthreads();", "barrier"),
    ("half a warp", "int offset = 16;", "int offset = 8;", WRONG),
    ("mask of half a warp", "0xffffffffu, total", "0x0000ffffu, total", "shuffle"),
    ("wrong lane leads", "if (threadIdx.x % 32 ||", "if (threadIdx.x % 32 != 1 ||", WRONG),
    ("splits overlap", "first = pitch * blockIdx.y / gridDim.y", "first = 0", TWICE),
    ("splits share partials", "partials[blockIdx.y * m + row + r]", "partials[row + r]", RACE),
    ("finish drops a split", "s < splits", "s + 1 < splits", WRONG),
    ("finish one too long", "s < splits", "s <= splits", OUT),
    ("tensor scale ignored", "weights::TENSOR_SCALE ?", "false ?", MISSED),
    ("codes swapped", "weights[k] = {widen_half(apart[even], k", "weights[k ^ 1] = {widen_half(apart[even], k", WRONG),
    ("sign lost", "& 0x80008000u) |", "& 0x00000000u) |", WRONG),
)

_SINGLE = (
    (
        "fp16",
        "halves swapped",
        "{widen_half(halves, false), widen_half(halves, true)}",
        "{widen_half(halves, true), 0}",
        WRONG,
    ),
    ("bf16", "halves swapped", "word << 16), __uint_as_float(word &", "word << 0), __uint_as_float(word &", WRONG),
    ("fp8", "row scale ignored", "if (weights::ROW_SCALE)", "if (false)", MISSED),
    ("fp8", "unit forgotten", "if (!weights::GROUPED) total", "if (false) total", WRONG),
    ("fp8", "upper half twice", "e4m3_halves(word, false)", "e4m3_halves(word, true)", WRONG),
    (
        "int8",
        "row scale of another row",
        "(scales)[i]",
        "(scales)[0]",
        f"{MISSED}|{TWICE}",
    ),
    ("int8", "no sign", "-8388736.0f", "-8388608.0f", WRONG),
    ("int4", "no offset", "0xa400a400u", "0u", WRONG),
    ("int4", "codes between left out", "codes & 0x00f000f0u", "codes & 0x000000f0u", WRONG),
    ("mxfp4", "unit forgotten", "of_units(group.a, weights::UNIT)", "group.a", WRONG),
    ("mxfp4", "scale of another row", "warp.scales + r * warp.pitch", "warp.scales", f"{MISSED}|{TWICE}"),
)

PACKED_MUTATIONS = [
    *(Mutation("gemv nvfp4", *entry) for entry in _NVFP4),
    *(Mutation(f"gemv {name}", *entry) for name, *entry in _SINGLE),
]

_DECODING = (
    ("mxfp4", "least scale is 0", "(((code + 1) & 0xff) < 2", "(code == 255"),
    ("mxfp4", "greatest scale is infinite", "(((code + 1) & 0xff) < 2", "(code == 0"),
    ("nvfp4", "scale NaN is 480", "e4m3_nan(scales) >> (8 * g + 7) & 1", "false"),
    ("nvfp4", "scale NaN is another group's", "e4m3_nan(scales) >> (8 * g + 7) & 1", "e4m3_nan(scales) >> 7 & 1"),
    ("fp8", "NaN is 480", "if (nan & 0x80808080u)", "if (false)"),
    ("fp8", "negative NaN is -480", "(word & 0x7f7f7f7fu) + 0x01010101u", "(word + 0x01010101u) & ~word"),
    ("fp8", "some NaN missed", "if (nan & 0x80808080u)", "if (nan & 0x00808080u)"),
    ("fp8", "the last NaN counts", "sums.nan[r] |=", "sums.nan[r] ="),
    ("int4", "code 15 wraps", "codes & 0x000f000fu", "codes & 0x00070007u"),
)

DECODING = [Mutation(f"gemv {name}", label, old, new, WRONG) for name, label, old, new in _DECODING]
"""Changes that only a comparison of every code and scale finds for certain."""
