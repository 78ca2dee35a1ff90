"""In which ways can a CUDA kernel be broken, and what must the checks say then?"""

from __future__ import annotations

from dataclasses import dataclass

from bandmark_kernels import KERNELS


@dataclass(frozen=True, slots=True)
class Mutation:
    """A kernel's source with every `old` text replaced by `new`, and a pattern that a finding must match."""

    kernel: str
    label: str
    old: str
    new: str
    finds: str
    dtype: str = "float32"
    variant: str = "v16"


MATRICES = tuple(name for name, kernel in KERNELS.items() if kernel.suite == "gemv")
REDUCTIONS = tuple(name for name, kernel in KERNELS.items() if kernel.is_reduction)
OPTIMIZERS = tuple(name for name, kernel in KERNELS.items() if kernel.suite == "training")
TILED = tuple(name for name, kernel in KERNELS.items() if not kernel.is_matrix)

OUT = "out of bounds"
RACE = "race"
WRONG = "^wrong"
MISSED = "^bytes"
TWICE = "^touched twice"

_TILED = (
    ("tail dropped", "    each_rest(n,", "    if (false) each_rest(n,", MISSED),
    ("tail one too long", "if (first + k < n) do_", "if (first + k <= n) do_", OUT),
    ("last tile dropped", "do_(LastTile{start + threadIdx.x, packs});", ";", MISSED),
    ("last tile one too long", "if (first + u * THREADS < end)", "if (first + u * THREADS <= end)", OUT),
    ("last tile taken for whole", "start + size <= packs", "start < packs", OUT),
    ("half the packs", "++u) do_(u, first", "u += 2) do_(u, first", MISSED),
    ("tiles overlap", "start = blockIdx.x * size", "start = blockIdx.x * (size - THREADS)", f"{RACE}|{TWICE}"),
    ("misaligned pack", "Pack*>(array)", "Pack*>(array + 1)", "misaligned"),
)

_BLOCK_SUMS = (
    ("barriers removed", "__syncthreads();", ";", f"{RACE}|before the block has written"),
    ("barrier for some", "__syncthreads();", "if (threadIdx.x < 32) __syncthreads();", "barrier"),
    ("half a warp", "int offset = 16;", "int offset = 8;", WRONG),
    ("mask of half a warp", "0xffffffffu, sums", "0x0000ffffu, sums", "shuffle"),
    ("wrong lane leads", "threadIdx.x % 32 == 0", "threadIdx.x % 32 == 1", WRONG),
    ("a warp left out", "int w = 1; w <", "int w = 2; w <", WRONG),
)

_REDUCTIONS = (
    ("finish drops a partial", "i < count; i += THREADS", "i + 1 < count; i += THREADS", WRONG),
    ("finish one too long", "i < count; i += THREADS", "i <= count; i += THREADS", OUT),
    ("blocks share a partial", "partials[blockIdx.x] =", "partials[0] =", RACE),
)

_MATRICES = (
    ("finish drops a split", "s < splits", "s + 1 < splits", WRONG),
    ("finish one too long", "s < splits", "s <= splits", OUT),
    ("splits share partials", "partials[blockIdx.y * count + i]", "partials[i]", RACE),
)

_OPTIMIZERS = (
    ("m not stored", ", store(m, i, M[u])", "", MISSED),
    ("v not stored", ", store(v, i, V[u])", "", MISSED),
    ("moments swapped", "store(m, i, M[u]), store(v, i, V[u])", "store(v, i, M[u]), store(m, i, V[u])", WRONG),
    ("tail without m", ", m[i] = M, v[i]", ", v[i]", MISSED),
    ("old root", "v += gain2 * (g * g - v);", "const auto old = v; v += gain2 * (g * g - v); v = old;", WRONG),
    ("no root", "sqrtf(v)", "v", WRONG),
    ("floor left out", "sqrtf(v) + floor", "sqrtf(v)", WRONG),
    ("floor within the root", "sqrtf(v) + floor", "sqrtf(v + floor)", WRONG),
    ("root not scaled", "root * sqrtf", "sqrtf", WRONG),
    ("no decay", "decay * ", "", WRONG),
    ("ascent", " - m / (root", " + m / (root", WRONG),
    ("gradient not squared", "(g * g - v)", "(g - v)", WRONG),
    ("gains swapped", "m += gain1 *", "m += gain2 *", WRONG),
)

_SINGLE = (
    ("adamw", "p not stored", "store(p, i, P[u]), ", "", MISSED),
    ("adamw", "gradient from p", "G[u] = load(g, i)", "G[u] = load(p, i)", MISSED),
    ("adamw", "tail read twice", "step(P, g[i], M, V)", "step(P, g[i], m[i], V), M = m[i]", TWICE),
    ("adamw_master", "weights not stored", "store_half(p, i, P[u]), ", "", MISSED),
    ("adamw_master", "master not stored", "store(master, i, W[u]), ", "", MISSED),
    ("adamw_master", "weights of the step before", "p = narrow<bfloat16>(master)", "p = narrow<bfloat16>(g)", WRONG),
    (
        "adamw_master",
        "weights truncated",
        "narrow<bfloat16>(master)",
        "bfloat16{(u16)(__float_as_uint(master) >> 16)}",
        WRONG,
    ),
    ("adamw_master", "half-packs misaligned", "Half*>(array)", "Half*>(array + 1)", "misaligned"),
    ("copy", "reads its output", "x[u] = load(a, v)", "x[u] = load(b, v)", MISSED),
    ("copy", "swapped operands", "b[i] = a[i]; }", "b[i] = b[0]; }", f"{MISSED}|{RACE}"),
    ("scale", "scalar ignored", "s * widen(x)", "widen(x)", WRONG),
    ("add", "an operand twice", "y[u] = load(b, v)", "y[u] = load(a, v)", MISSED),
    ("add", "wrong sign", "widen(x) + widen(y)", "widen(x) - widen(y)", WRONG),
    ("triad", "swapped operands", "widen(x) + s * widen(y)", "widen(y) + s * widen(x)", WRONG),
    ("nstream", "swapped operands", "widen(y) + s * widen(z)", "widen(z) + s * widen(y)", WRONG),
    ("nstream", "replaced, not added to", "widen(x) + (widen(y)", "(widen(y)", WRONG),
    ("write", "wrong value", "narrow<element>(s)", "narrow<element>(s + s)", WRONG),
    ("dot", "an operand twice", "y[u] = load(b, v)", "y[u] = load(a, v)", MISSED),
    ("read", "a sum left out", "int u = 0; u < 4; ++u) thread_sum", "int u = 1; u < 4; ++u) thread_sum", WRONG),
    ("gemv", "rows left over dropped", "else ROLLED for (u64 r = row;", "else for (u64 r = m;", MISSED),
    ("gemv", "rows one too many", "if (row + ROWS <= m)", "if (row < m)", OUT),
    ("gemv", "columns left over dropped", "for (; v < end; v += THREADS)", "for (; v < 0; v += THREADS)", MISSED),
    ("gemv", "columns one too many", "v + (UNROLL - 1) * THREADS < end", "v < end", f"{OUT}|{TWICE}"),
    ("gemv", "rows swapped", "load(A, r * pitch", "load(A, (R - 1 - r) * pitch", WRONG),
    ("gemv", "splits overlap", "packs * blockIdx.y / gridDim.y + threadIdx.x", "threadIdx.x", TWICE),
    ("gemv", "reuse without barrier", "[THREADS / 32];\n    __syncthreads();", "[THREADS / 32];", RACE),
    ("gemv", "ragged lead wrong", "before ? LANES - before : 0", "before", "misaligned"),
    ("gemv", "ragged lead dropped", "if (threadIdx.x < start)", "if (false)", MISSED),
    ("gemv", "ragged tail dropped", "if (behind < columns)", "if (false)", MISSED),
    ("gemv", "ragged tail one too long", "if (behind < columns)", "if (behind <= columns)", f"{OUT}|{TWICE}"),
    ("gemv_t", "rows left over dropped", "for (; i < end; ++i)", "for (; i < 0; ++i)", MISSED),
    ("gemv_t", "rows one too many", "for (; i + R <= end;", "for (; i < end;", f"{OUT}|{TWICE}"),
    ("gemv_t", "half the rows", "i += GROUPS * R)", "i += 2 * GROUPS * R)", MISSED),
    ("gemv_t", "columns unguarded", "if (j < n) {", "if (true) {", f"{OUT}|{TWICE}"),
    ("gemv_t", "columns one too many", "if (first + k >= n) return;", "if (first + k > n) return;", f"{OUT}|{RACE}"),
    ("gemv_t", "a group left out", "for (int g = 0; g < GROUPS; ++g)", "for (int g = 1; g < GROUPS; ++g)", WRONG),
    ("gemv_t", "wrong element of x", "widen(x[i + r])", "widen(x[i])", WRONG),
    ("gemv_t", "splits overlap", "m * blockIdx.y / gridDim.y + group * R", "group * R", TWICE),
    ("gemv_t", "barriers removed", "__syncthreads();", ";", f"{RACE}|before the block has written"),
    ("gemv_t", "barrier for some", "__syncthreads();", "if (threadIdx.x < 32) __syncthreads();", "barrier"),
    ("gemv_t", "shared array too small", "[STRIP * WIDTH];", "[STRIP * WIDTH - 1];", OUT),
)


_BULK = (
    ("tail dropped", "    each_rest(n,", "    if (false) each_rest(n,", MISSED),
    ("last tile taken for whole", "first(k) + size <= packs ? size : packs - first(k)", "size", OUT),
    ("last tile dropped", "first(k) < packs; ++k)", "first(k) + size <= packs; ++k)", MISSED),
    ("a tile behind the end", "if (first(k) < packs) begin_load", "begin_load", OUT),
    (
        "tiles overlap",
        "blockIdx.x + k * gridDim.x) * size",
        "blockIdx.x + k * gridDim.x) * (size - 1)",
        f"{RACE}|{TWICE}",
    ),
    ("tiles of the first block", "(blockIdx.x + k * gridDim.x)", "(k * gridDim.x)", f"{RACE}|{MISSED}"),
    ("a pack too many", "to[which][i] = stores.from", "to[which][i + 1] = stores.from", f"{OUT}|{MISSED}|{RACE}"),
    ("misaligned pack", "reinterpret_cast<const Pack*>(a)", "reinterpret_cast<const Pack*>(a + 1)", "misaligned"),
    ("loads not awaited", "await_load(stages[k % STAGES], k / STAGES % 2);", ";", WRONG),
    ("every thread copies", "if (threadIdx.x == 0)", "if (threadIdx.x >= 0)", RACE),
)

_RING = (
    ("loads of later rounds not awaited", "k / STAGES % 2);", "0);"),
    ("stores not awaited before a load", "await_stores<BEHIND>(stores);", ";"),
    ("one store too few awaited", "await_stores<BEHIND>", "await_stores<BEHIND + 1>"),
    ("the wrong stage loaded", "load_tile(k - BEHIND + STAGES)", "load_tile(k - BEHIND + STAGES - 1)"),
    ("a load per round forgotten", "if (k < BEHIND) continue;", "if (k < BEHIND || k % STAGES == 0) continue;"),
    (
        "a store of another stage",
        "begin_store(stores, stages[k % STAGES]",
        "begin_store(stores, stages[(k + 1) % STAGES]",
    ),
    ("the last stores not awaited", "await_stores<0>(stores);", ";"),
)


def _for_each(kernels: tuple[str, ...], table: tuple[tuple[str, str, str, str], ...]) -> list[Mutation]:
    return [Mutation(kernel, *entry) for kernel in kernels for entry in table]


MUTATIONS: list[Mutation] = [
    *_for_each(TILED, _TILED),
    *_for_each((*REDUCTIONS, "gemv"), _BLOCK_SUMS),
    *_for_each(REDUCTIONS, _REDUCTIONS),
    *_for_each(MATRICES, _MATRICES),
    *_for_each(OPTIMIZERS, _OPTIMIZERS),
    *(Mutation(*entry) for entry in _SINGLE),
    *(Mutation("copy", f"bulk, {label}", *entry, variant="v16-bulk") for label, *entry in _BULK),
]

RINGS = [Mutation("copy", f"bulk, {label}", old, new, "", variant="v16-bulk") for label, old, new in _RING]
"""Changes that only blocks of many tiles find: most of them leave wrong values, some bytes untouched."""

ROUNDINGS = [
    Mutation("scale", "truncated", "(bits + 0x7fffu + (bits >> 16 & 1u)) >> 16", "bits >> 16", WRONG, "bfloat16"),
    Mutation("scale", "ties away", "(bits >> 16 & 1u)) >> 16", "1u) >> 16", WRONG, "bfloat16"),
    Mutation("scale", "truncated", " + 0xfffu + (magnitude >> 13 & 1u)", "", WRONG, "float16"),
    Mutation("scale", "subnormals flushed", "__uint_as_float(magnitude) + 0.5f", "0.5f", WRONG, "float16"),
    Mutation("scale", "overflow too early", "magnitude >= 0x477ff000u", "magnitude >= 0x47000000u", WRONG, "float16"),
    Mutation("scale", "sign lost", "__uint_as_float(sign | __float_as_uint(scaled))", "scaled", WRONG, "float16"),
]
"""Changes that only a comparison of every bit pattern finds."""
