"""In which ways can attention over a KV cache be broken, and what must the checks say then?"""

from __future__ import annotations

from mutations import MISSED, OUT, RACE, TWICE, WRONG, Mutation

_TOKENS = (
    ("tail dropped", "for (; i < end; ++i)", "for (; i < 0; ++i)", MISSED),
    ("a token too many", "WHOLE || t < m", "WHOLE || t <= m", OUT),
    ("last tile taken for whole", "whole = m / TILE < end ? m / TILE : end", "whole = end", OUT),
    ("tokens behind the end weighed", "there ? scores[u][x][i] * unit : NONE", "scores[u][x][i] * unit", WRONG),
    ("rounds overlap", "i += WARPS * UNROLL)", "i += UNROLL)", TWICE),
    ("ranges overlap", "u64 i = tiles * blockIdx.y / gridDim.y + threadIdx", "u64 i = threadIdx", TWICE),
    ("half the packs of K", "for (int p = 0; p < PACKS; ++p)", "for (int p = 0; p < PACKS; p += 2)", MISSED),
    ("half the packs of V", "for (int p = 0; p < PACKS_V; ++p)", "for (int p = 0; p < PACKS_V; p += 2)", MISSED),
    ("half the rows of V", "for (int g = 0; g < 4; ++g) {\n", "for (int g = 0; g < 4; g += 2) {\n", MISSED),
    ("rows of one head", "t * (PITCH / WIDE) +", "t * (HEAD_DIM / WIDE) +", MISSED),
    (
        "misaligned pack of K",
        "reinterpret_cast<const element*>(K)",
        "(const element*)((const char*)K + 4)",
        "misaligned",
    ),
    ("misaligned pack of V", "const PackV*>(V)", "const PackV*>(V + 1)", "misaligned"),
    ("rows of V in another order", "2 * part + g % 2;", "part + g % 2 * 4;", WRONG),
    ("K and V swapped", "(K + at, V + at", "(V + at, K + at", WRONG),
    ("K for V", "load_tiles<WHOLE, U>(K, V,", "load_tiles<WHOLE, U>(K, K,", MISSED),
)

_HEADS = (
    ("the first head for all", "at = (u64)blockIdx.x * HEAD_DIM;", "at = 0;", MISSED),
    ("heads reversed", "at = (u64)blockIdx.x * HEAD_DIM;", "at = (u64)(gridDim.x - 1 - blockIdx.x) * HEAD_DIM;", WRONG),
    ("query of the neighbour", "((head + row + 8 * x) * HEAD_DIM + e)", "((head + (row ^ 1)) * HEAD_DIM + e)", WRONG),
    ("query of the first group", "((head + row + 8 * x) * HEAD_DIM + e)", "((row + 8 * x) * HEAD_DIM + e)", MISSED),
    ("a query head too many", "if (row + 8 * x < GROUP)", "if (row + 8 * x <= GROUP)", OUT),
    ("eight query heads", "if (row + 8 * x < GROUP)", "if (true)", OUT),
    ("out of the first group", "out[head * HEAD_DIM + k]", "out[k]", RACE),
    ("sum of the first head", "value / sum[k / HEAD_DIM]", "value / sum[0]", WRONG),
    ("top of the first head", "of_range[0] = highest[threadIdx.x]", "of_range[0] = highest[0]", WRONG),
    ("shared by too few", "if (row == 0 && h < GROUP)", "if (row == 0)", OUT),
    ("every row leads", "if (row == 0 && h < GROUP)", "if (h < GROUP)", RACE),
)

_PRODUCTS = (
    ("scores not scaled", "const float unit = SCORE_UNIT *", "const float unit = 0.25f *", WRONG),
    (
        "rows and terms of K swapped",
        "pair(b, e), pair(a, e + 1), pair(b, e + 1)",
        "pair(a, e + 1), pair(b, e), pair(b, e + 1)",
        WRONG,
    ),
    (
        "rows and terms of V swapped",
        "| of[1] << 16, of[0] >> 16 | (of[1] & 0xffff0000u),\n                     (of[2] & 0xffffu) | of[3] << 16,",
        "| of[1] << 16, (of[2] & 0xffffu) | of[3] << 16,\n of[0] >> 16 | (of[1] & 0xffff0000u),",
        WRONG,
    ),
    ("tokens of V in a row", "(of[0] & 0xffffu) | of[1] << 16, of[0] >> 16", "of[0], of[0] >> 16", WRONG),
    ("query's terms swapped", "query[i / 2][x][i % 2]", "query[i / 2][x][1 - i % 2]", WRONG),
    ("query's packs in a row", "(i / (WIDE / 2) * 4 + part) * WIDE", "(i / (WIDE / 2) + PACKS * part) * WIDE", WRONG),
    ("columns of out swapped", "value_at(j, row) + i % 4 / 2", "value_at(j, row) + 1 - i % 4 / 2", WRONG),
    ("packs of out swapped", "(WIDE_V / 2) * 8 + row)", "(WIDE_V / 2) * 8 + (row ^ 1))", WRONG),
    ("not transposed", "transpose(two(of[0], of[1]))", "two(of[0], of[1])", WRONG),
    ("weights swapped", "two(of[0], of[1])", "two(of[1], of[0])", WRONG),
)

_SOFTMAX = (
    ("top of half a warp", "lanes < 32; lanes *= 2) top", "lanes < 16; lanes *= 2) top", WRONG),
    ("top of a lane", "lanes < 32; lanes *= 2) top", "lanes < 4; lanes *= 2) top", WRONG),
    ("top forgotten", "seen.top[x][i] = top;", ";", WRONG),
    ("sum not faded", "seen.sum[x][i] *= fade;", ";", WRONG),
    ("values not faded", "seen.values[j][x][i] *= fade, seen.values[j][x][2 + i] *= fade;", ";", WRONG),
    ("half the values faded", "[x][i] *= fade, seen.values[j][x][2 + i] *= fade;", "[x][i] *= fade;", WRONG),
    ("sum of half a warp", "lanes < 32; lanes *= 2) own", "lanes < 16; lanes *= 2) own", WRONG),
    ("mask of half a warp", "ALL = 0xffffffffu", "ALL = 0x0000ffffu", "shuffle"),
    ("warps share no top", "share[x][i] = exp2_of(tops[warp][h] - top)", "share[x][i] = 1", WRONG),
    ("sums of warps share no top", "all += exp2_of(tops[w][h] - top) * sums", "all += sums", WRONG),
    ("a warp's sum left out", "for (int w = 0; w < WARPS; ++w) all", "for (int w = 1; w < WARPS; ++w) all", WRONG),
    ("a warp's values left out", "w < WARPS; ++w) {\n", "w + 1 < WARPS; ++w) {\n", WRONG),
    ("the last warp counts", "(w == 0 ? 0.0f : total[h][e])", "0.0f", WRONG),
    ("barriers removed", "__syncthreads();", ";", f"{RACE}|before the block has written"),
    ("barrier for some", "__syncthreads();", "if (threadIdx.x < 32) __syncthreads();", "barrier"),
    ("not divided", "narrow<element>(value / sum[k / HEAD_DIM])", "narrow<element>(value)", WRONG),
    ("ranges share partials", "range = (u64)blockIdx.y * heads + head", "range = head", RACE),
    ("ranges share tops", "(range + threadIdx.x) * 2", "(head + threadIdx.x) * 2", RACE),
    ("finish drops a range", "s = 0; s < ranges", "s = 0; s + 1 < ranges", WRONG),
    ("finish one too many", "s = 0; s < ranges", "s = 0; s <= ranges", OUT),
    ("finish with the first head's tops", "count + first / HEAD_DIM * 2;", "count;", WRONG),
    ("ranges share no top", "share = exp2_of(of_ranges[s * heads * 2] - top)", "share = 1", WRONG),
    ("finish without the sums' share", "sum += share * of_ranges", "sum += of_ranges", WRONG),
    ("finish not divided", "narrow<element>(values[k] / sum)", "narrow<element>(values[k])", WRONG),
)

_CODES = (
    ("scale of K ignored", "CODE_UNIT * *k_scale", "CODE_UNIT", MISSED),
    ("scale of V ignored", "CODE_UNIT * *v_scale", "CODE_UNIT", MISSED),
    (
        "scales swapped",
        "CODE_UNIT * *k_scale : 1.0f), value_unit = FP8 ? CODE_UNIT * *v_scale",
        "CODE_UNIT * *v_scale : 1.0f), value_unit = FP8 ? CODE_UNIT * *k_scale",
        WRONG,
    ),
    ("unit forgotten", "CODE_UNIT = 256.0f", "CODE_UNIT = 1.0f", WRONG),
    ("sign lost", "(apart & 0x80008000u) | magnitude", "magnitude", WRONG),
    ("a bit of the fraction lost", "& 0x3f803f80u", "& 0x3f003f00u", WRONG),
    ("upper codes twice", "decode(pack.word[i / 2], i % 2)", "decode(pack.word[i / 2], true)", WRONG),
    ("words in another order", "decode(pack.word[i / 2], i % 2)", "decode(pack.word[i / 2 ^ 1], i % 2)", WRONG),
    ("warps overlap", "threadIdx.x / 32 * UNROLL", "threadIdx.x / 32", f"{TWICE}|{MISSED}"),
    ("a round too many", "i + UNROLL <= whole;", "i < whole;", f"{OUT}|{TWICE}"),
)

_PREFETCH = (
    ("first round not loaded", "if (i + UNROLL <= whole) load_tiles", "if (false) load_tiles", MISSED),
    ("present round again", "next * TILE, m, k[1", "i * TILE, m, k[1", f"{MISSED}|{TWICE}"),
    ("no next round", "if (next + UNROLL <= whole)", "if (false)", MISSED),
    ("next round behind the end", "if (next + UNROLL <= whole)", "if (true)", f"{OUT}|{TWICE}"),
    (
        "next round's products",
        "add_tiles<true, UNROLL>(k[now], v[now]",
        "add_tiles<true, UNROLL>(k[1 - now], v[now]",
        WRONG,
    ),
    (
        "values of the other round",
        "add_tiles<true, UNROLL>(k[now], v[now]",
        "add_tiles<true, UNROLL>(k[now], v[1 - now]",
        WRONG,
    ),
    ("loaded over", "k[1 - now], v[1 - now]);", "k[now], v[now]);", WRONG),
    (
        "every other turn left out",
        "            i = next;",
        "            i = next + WARPS * UNROLL;",
        f"{MISSED}|{WRONG}",
    ),
)

KV_MUTATIONS = [
    *(Mutation("kv", *entry) for entry in (*_TOKENS, *_HEADS, *_PRODUCTS, *_SOFTMAX)),
    *(Mutation("kv fp8", *entry) for entry in _CODES),
    *(Mutation("kv", f"prefetch, {label}", *entry, variant="v16-prefetch") for label, *entry in _PREFETCH),
]

KV_DECODING = [
    Mutation("kv fp8", label, old, new, WRONG)
    for label, old, new in (
        ("NaN is 480", "magnitude | nan;", "magnitude;"),
        ("NaN of one half missed", "& 0x40004000u;", "& 0x00004000u;"),
        ("448 is NaN, too", "(magnitude + 0x00800080u)", "(magnitude + 0x01000100u)"),
        ("sign of a NaN makes it a number", "(magnitude + 0x00800080u) &", "(magnitude + 0x00800080u) & ~apart >> 1 &"),
    )
]
"""Changes that only a comparison of every code finds for certain."""

KV_EXTREMES = [
    Mutation("kv", label, old, new, WRONG)
    for label, old, new in (
        ("weights of 1 at most", "SHIFT = 15.0f", "SHIFT = 0.0f"),
        ("weights above float16", "SHIFT = 15.0f", "SHIFT = 17.0f"),
        ("no weight below another's top", "higher(top, higher(scores", "higher(0.0f, higher(scores"),
        (
            "top of the first tile",
            "top = higher(top, higher(scores",
            "top = top > NONE ? top : higher(top, higher(scores",
        ),
        ("top of the first warp", "top = higher(top, tops[w][h]);", ";"),
        ("top of the first range", "top = higher(top, of_ranges[s * heads * 2]);", ";"),
        ("none is 0", "NONE = -3e38f", "NONE = 0.0f"),
        ("top starts at 0", "seen.top[x][1] = NONE;", "seen.top[x][1] = 0.0f;"),
        ("top of the warps from 0", "float top = tops[0][h], all = 0;", "float top = 0, all = 0;"),
        ("top of the ranges from 0", "float top = of_ranges[0], sum = 0,", "float top = 0, sum = 0,"),
    )
]
"""Changes that only scores far apart find for certain."""
