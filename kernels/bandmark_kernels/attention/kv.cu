// kv: out = softmax(q K^T / sqrt(d)) V for the GROUP query heads of each KV head, over a cache of m tokens.
// K and V are row-major with a row per token: the KV heads side by side, HEAD_DIM numbers each.
//
// A block takes a KV head (blockIdx.x) and one of gridDim.y ranges of tokens; its warps take turns of UNROLL tiles of 16
// tokens. Both products run on the tensor cores, a tile at a time and for all query heads of the group at once, in
// float32: so each number of the cache is loaded once, and is used straight from the register that it was loaded to.
// The softmax is online: a warp keeps the highest score so far, and the sums relative to it. Ranges leave their sums in
// the workspace, and bandmark_kv_finish combines those.
//
// Products and the numbers of the cache are in tensor.cu.
//
//   HEAD_DIM    64, 128, 192 or 256
//   KV_HEADS, GROUP  heads of the cache, and query heads of each: 1 to 16
//   PREFETCH    1: the tiles of a warp's next turn are loaded before the products of the present ones
//   SCORE_UNIT  log2(e) / sqrt(HEAD_DIM): scores are exponents of 2

constexpr int TILE = 16;    // tokens that one step of a product takes
constexpr int WARPS = THREADS / 32;
constexpr int WIDE = PACK_BYTES / sizeof(cached);                        // numbers of a load of K
constexpr int WIDE_V = HEAD_DIM % (8 * WIDE) ? WIDE / 2 : WIDE;          // of V: eight lanes share a row
constexpr int PACKS = HEAD_DIM / (4 * WIDE), PACKS_V = HEAD_DIM / (8 * WIDE_V);  // loads of a lane per row
constexpr u64 PITCH = (u64)KV_HEADS * HEAD_DIM;
constexpr int STEPS = HEAD_DIM / 16;          // products that make up a score
constexpr int COLUMNS = GROUP > 8 ? 2 : 1;    // eights of query heads
constexpr float SHIFT = 15.0f;  // weights are at most 2^15: small ones then keep their bits in float16, too
constexpr float NONE = -3e38f;  // below every score

union alignas(WIDE_V * sizeof(cached)) PackV {
    u32 word[WIDE_V * sizeof(cached) / 4];
};

// ---- a warp's tokens

// What a warp has seen. Lane 4 r + p has of query heads 2 p, 2 p + 1 (x = 0) and those 8 further on (x = 1) the highest
// score, the sum of the weights of its own tokens, and of product j the element value_at(j, r) and the one behind it.
struct Seen {
    float top[COLUMNS][2], sum[COLUMNS][2], values[HEAD_DIM / 16][COLUMNS][4];
};

__device__ __forceinline__ int value_at(int j, int row)
{
    return (j / (WIDE_V / 2) * 8 + row) * WIDE_V + j % (WIDE_V / 2) * 2;
}

// Loads U tiles from token `first` on, all of them before m if WHOLE, of a head whose first numbers K and V point at.
template <bool WHOLE, int U>
__device__ __forceinline__ void load_tiles(
    const cached* K, const cached* V, u64 first, u64 m, Pack (&k)[U][2][PACKS], PackV (&v)[U][4][PACKS_V])
{
    const int row = threadIdx.x % 32 / 4, part = threadIdx.x % 4;
    UNROLLED for (int u = 0; u < U; ++u)
        UNROLLED for (int g = 0; g < 2; ++g) {
            const u64 t = first + u * TILE + 8 * g + row;
            UNROLLED for (int p = 0; p < PACKS; ++p) {
                if (WHOLE || t < m) k[u][g][p] = load(reinterpret_cast<const element*>(K), t * (PITCH / WIDE) + 4 * p + part);
                else k[u][g][p] = Pack{};
            }
        }
    UNROLLED for (int u = 0; u < U; ++u)
        UNROLLED for (int g = 0; g < 4; ++g) {
            const u64 t = first + u * TILE + g / 2 * 8 + 2 * part + g % 2;
            UNROLLED for (int p = 0; p < PACKS_V; ++p) {
                if (WHOLE || t < m) v[u][g][p] = reinterpret_cast<const PackV*>(V)[t * (PITCH / WIDE_V) + 8 * p + row];
                else v[u][g][p] = PackV{};
            }
        }
}

// Returns the scores of a tile's tokens r and r + 8.
__device__ __forceinline__ void score(const Pack (&k)[2][PACKS], const u32 (&query)[STEPS][COLUMNS][2], float (&c)[COLUMNS][4])
{
    UNROLLED for (int i = 0; i < STEPS; ++i) {
        const Pack &a = k[0][i / (WIDE / 4)], &b = k[1][i / (WIDE / 4)];
        const int e = i % (WIDE / 4) * 2;
        UNROLLED for (int x = 0; x < COLUMNS; ++x)
            multiply(c[x], pair(a, e), pair(b, e), pair(a, e + 1), pair(b, e + 1), query[i][x]);
    }
}

// Adds a tile's values, weighted.
__device__ __forceinline__ void add_values(const PackV (&v)[4][PACKS_V], const u32 (&weights)[COLUMNS][2], Seen& seen)
{
    UNROLLED for (int j = 0; j < HEAD_DIM / 16; ++j) {
        u32 of[4];  // two elements of four tokens
        UNROLLED for (int g = 0; g < 4; ++g) of[g] = pair(v[g][j / (WIDE_V / 2)], j % (WIDE_V / 2));
        UNROLLED for (int x = 0; x < COLUMNS; ++x)
            multiply(seen.values[j][x], (of[0] & 0xffffu) | of[1] << 16, of[0] >> 16 | (of[1] & 0xffff0000u),
                     (of[2] & 0xffffu) | of[3] << 16, of[2] >> 16 | (of[3] & 0xffff0000u), weights[x]);
    }
}

// Adds U tiles that have been loaded from token `first` on.
template <bool WHOLE, int U>
__device__ __forceinline__ void add_tiles(const Pack (&k)[U][2][PACKS], const PackV (&v)[U][4][PACKS_V], u64 first, u64 m,
                                          float unit, const u32 (&query)[STEPS][COLUMNS][2], Seen& seen)
{
    float scores[U][COLUMNS][4] = {};
    UNROLLED for (int u = 0; u < U; ++u) {
        score(k[u], query, scores[u]);
        UNROLLED for (int x = 0; x < COLUMNS; ++x)
            UNROLLED for (int i = 0; i < 4; ++i) {
                const bool there = WHOLE || first + u * TILE + threadIdx.x % 32 / 4 + i / 2 * 8 < m;
                scores[u][x][i] = there ? scores[u][x][i] * unit : NONE;
            }
    }
    UNROLLED for (int x = 0; x < COLUMNS; ++x)
        UNROLLED for (int i = 0; i < 2; ++i) {
            float top = seen.top[x][i];
            UNROLLED for (int u = 0; u < U; ++u) top = higher(top, higher(scores[u][x][i], scores[u][x][2 + i]));
            UNROLLED for (int lanes = 4; lanes < 32; lanes *= 2) top = higher(top, __shfl_xor_sync(ALL, top, lanes));
            const float fade = exp2_of(seen.top[x][i] - top);
            seen.top[x][i] = top;
            seen.sum[x][i] *= fade;
            UNROLLED for (int j = 0; j < HEAD_DIM / 16; ++j) seen.values[j][x][i] *= fade, seen.values[j][x][2 + i] *= fade;
        }
    UNROLLED for (int u = 0; u < U; ++u) {
        u32 weights[COLUMNS][2];
        UNROLLED for (int x = 0; x < COLUMNS; ++x)
            UNROLLED for (int g = 0; g < 2; ++g) {
                float of[2];
                UNROLLED for (int i = 0; i < 2; ++i) {
                    of[i] = exp2_of(scores[u][x][2 * g + i] - seen.top[x][i] + SHIFT);
                    seen.sum[x][i] += of[i];
                }
                weights[x][g] = transpose(two(of[0], of[1]));
            }
        add_values(v[u], weights, seen);
    }
}

template <bool WHOLE, int U>
__device__ __forceinline__ void take(const cached* K, const cached* V, u64 first, u64 m, float unit,
                                     const u32 (&query)[STEPS][COLUMNS][2], Seen& seen)
{
    Pack k[U][2][PACKS];
    PackV v[U][4][PACKS_V];
    load_tiles<WHOLE, U>(K, V, first, m, k, v);
    // Keeps all loads ahead of the first use, where there are registers for them.
    if constexpr (U * (sizeof k[0] + sizeof v[0]) <= 384) __syncwarp();
    add_tiles<WHOLE, U>(k, v, first, m, unit, query, seen);
}

// ---- all tokens

// Adds up the warps of a block, in their order: total[h] holds the sums of query head h relative to highest[h].
__device__ __forceinline__ void block_total(
    const Seen& seen, float (&total)[GROUP][HEAD_DIM], float (&highest)[GROUP], float (&sum)[GROUP])
{
    __shared__ float tops[WARPS][GROUP], sums[WARPS][GROUP];
    const int warp = threadIdx.x / 32, row = threadIdx.x % 32 / 4, part = threadIdx.x % 4;
    UNROLLED for (int x = 0; x < COLUMNS; ++x)
        UNROLLED for (int i = 0; i < 2; ++i) {
            float own = seen.sum[x][i];
            UNROLLED for (int lanes = 4; lanes < 32; lanes *= 2) own += __shfl_xor_sync(ALL, own, lanes);
            const int h = 8 * x + 2 * part + i;
            if (row == 0 && h < GROUP) tops[warp][h] = seen.top[x][i], sums[warp][h] = own;
        }
    __syncthreads();
    float share[COLUMNS][2];
    UNROLLED for (int x = 0; x < COLUMNS; ++x)
        UNROLLED for (int i = 0; i < 2; ++i) {
            const int h = 8 * x + 2 * part + i;
            if (h >= GROUP) continue;
            float top = tops[0][h], all = 0;
            for (int w = 1; w < WARPS; ++w) top = higher(top, tops[w][h]);
            for (int w = 0; w < WARPS; ++w) all += exp2_of(tops[w][h] - top) * sums[w][h];
            share[x][i] = exp2_of(tops[warp][h] - top);
            if (warp == 0 && row == 0) highest[h] = top, sum[h] = all;
        }
    ROLLED for (int w = 0; w < WARPS; ++w) {
        if (warp == w)
            UNROLLED for (int j = 0; j < HEAD_DIM / 16; ++j)
                UNROLLED for (int i = 0; i < 4 * COLUMNS; ++i) {
                    const int x = i / 4, h = 8 * x + 2 * part + i % 2, e = value_at(j, row) + i % 4 / 2;
                    if (h < GROUP) total[h][e] = (w == 0 ? 0.0f : total[h][e]) + share[x][i % 2] * seen.values[j][x][i % 4];
                }
        __syncthreads();
    }
}

// Without FP8 the scales are null. The workspace: a float32 for each element of out and each range; then the highest
// score and the sum of weights of each query head and range.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM)
bandmark_kv(const cached* __restrict__ K, const cached* __restrict__ V,
            const float* __restrict__ k_scale, const float* __restrict__ v_scale,
            const element* __restrict__ q, element* __restrict__ out, accumulator* __restrict__ partials, u64 m)
{
    __shared__ float total[GROUP][HEAD_DIM], highest[GROUP], sum[GROUP];
    const int row = threadIdx.x % 32 / 4, part = threadIdx.x % 4;
    const u64 head = (u64)blockIdx.x * GROUP;
    u32 query[STEPS][COLUMNS][2] = {};
    UNROLLED for (int i = 0; i < 2 * STEPS; ++i)  // the elements that stand in the lane's packs of K, in their order
        UNROLLED for (int x = 0; x < COLUMNS; ++x) {
            const int e = (i / (WIDE / 2) * 4 + part) * WIDE + i % (WIDE / 2) * 2;
            if (row + 8 * x < GROUP)
                query[i / 2][x][i % 2] = reinterpret_cast<const u32*>(q)[((head + row + 8 * x) * HEAD_DIM + e) / 2];
        }
    const float unit = SCORE_UNIT * (FP8 ? CODE_UNIT * *k_scale : 1.0f), value_unit = FP8 ? CODE_UNIT * *v_scale : 1.0f;
    Seen seen = {};
    UNROLLED for (int x = 0; x < COLUMNS; ++x) seen.top[x][0] = seen.top[x][1] = NONE;
    const u64 tiles = (m + TILE - 1) / TILE, end = tiles * (blockIdx.y + 1) / gridDim.y;
    const u64 whole = m / TILE < end ? m / TILE : end, at = (u64)blockIdx.x * HEAD_DIM;
    u64 i = tiles * blockIdx.y / gridDim.y + threadIdx.x / 32 * UNROLL;
#if PREFETCH
    // The registers of two rounds, in turns: those of one are loaded before the products of the other are made.
    Pack k[2][UNROLL][2][PACKS];
    PackV v[2][UNROLL][4][PACKS_V];
    if (i + UNROLL <= whole) load_tiles<true, UNROLL>(K + at, V + at, i * TILE, m, k[0], v[0]);
    ROLLED while (i + UNROLL <= whole)
        UNROLLED for (int now = 0; now < 2 && i + UNROLL <= whole; ++now) {
            const u64 next = i + WARPS * UNROLL;
            if (next + UNROLL <= whole) load_tiles<true, UNROLL>(K + at, V + at, next * TILE, m, k[1 - now], v[1 - now]);
            __syncwarp();
            add_tiles<true, UNROLL>(k[now], v[now], i * TILE, m, unit, query, seen);
            i = next;
        }
#else
    ROLLED for (; i + UNROLL <= whole; i += WARPS * UNROLL)
        take<true, UNROLL>(K + at, V + at, i * TILE, m, unit, query, seen);
#endif
    ROLLED for (; i < end; ++i)  // at most UNROLL tiles are left, all of them to one warp
        take<false, 1>(K + at, V + at, i * TILE, m, unit, query, seen);
    block_total(seen, total, highest, sum);
    const u64 heads = (u64)gridDim.x * GROUP, range = (u64)blockIdx.y * heads + head;
    for (int e = threadIdx.x * WORD; e < GROUP * HEAD_DIM; e += THREADS * WORD)
        UNROLLED for (int k = e; k < e + WORD; ++k) {
            const float value = total[k / HEAD_DIM][k % HEAD_DIM] * value_unit;
            if (gridDim.y == 1) out[head * HEAD_DIM + k] = narrow<element>(value / sum[k / HEAD_DIM]);
            else partials[range * HEAD_DIM + k] = value;
        }
    if (gridDim.y > 1 && threadIdx.x < GROUP) {
        float* of_range = partials + gridDim.y * heads * HEAD_DIM + (range + threadIdx.x) * 2;
        of_range[0] = highest[threadIdx.x], of_range[1] = sum[threadIdx.x];
    }
}

// A block takes THREADS words of out.
extern "C" __global__ void __launch_bounds__(THREADS)
bandmark_kv_finish(const accumulator* __restrict__ partials, element* __restrict__ out, u64 heads, u64 ranges)
{
    const u64 first = ((u64)blockIdx.x * THREADS + threadIdx.x) * WORD, count = heads * HEAD_DIM;
    if (first >= count) return;
    const float* of_ranges = partials + ranges * count + first / HEAD_DIM * 2;
    float top = of_ranges[0], sum = 0, values[WORD] = {};
    for (u64 s = 1; s < ranges; ++s) top = higher(top, of_ranges[s * heads * 2]);
    _Pragma("unroll 4") for (u64 s = 0; s < ranges; ++s) {
        const float share = exp2_of(of_ranges[s * heads * 2] - top);
        sum += share * of_ranges[s * heads * 2 + 1];
        UNROLLED for (int k = 0; k < WORD; ++k) values[k] += share * partials[s * count + first + k];
    }
    UNROLLED for (int k = 0; k < WORD; ++k) out[first + k] = narrow<element>(values[k] / sum);
}
