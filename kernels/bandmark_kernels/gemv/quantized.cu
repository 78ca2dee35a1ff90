// quantized: y[i] = sum over j of W[i,j] * x[j]. W is m x n, quantized as weights.cu says, n a multiple of 64; x and y are
// float32.
//
// A warp takes ROWS rows, a block those of its warps and one of gridDim.y ranges of columns. The warps share x: a tile of
// it at a time goes through shared memory, because a thread's codes are many columns wide, and threads that load x so
// far apart take several cycles a load. The next tile is fetched while one is in use. With several ranges the sums go to
// the workspace, and bandmark_quantized_finish adds those up.

constexpr int PACK_WORDS = PACK_BYTES / 4, PER_WORD = 32 / weights::BITS, PER_PACK = PACK_WORDS * PER_WORD;
constexpr int GROUPS_OF_PACK = weights::GROUPED ? PER_PACK / weights::GROUP : 1;
constexpr int WARPS = THREADS / 32, TILE_PACKS = 32 * UNROLL;  // a tile's packs of a row

// x is in registers for a step: the weights of one word, and four at least.
constexpr int STEP_WORDS = PER_WORD < 4 ? 4 / PER_WORD : 1, STEP_CHUNKS = STEP_WORDS * PER_WORD / 4;
constexpr int STEPS_OF_GROUP = PACK_WORDS / GROUPS_OF_PACK / STEP_WORDS;

// The scales of a pack, as loaded; of a row where the row has one.
template <int BYTES> struct ScaleWord { typedef u32 type; };
template <> struct ScaleWord<1> { typedef unsigned char type; };
template <> struct ScaleWord<2> { typedef u16 type; };
typedef ScaleWord<GROUPS_OF_PACK * weights::SCALE_BYTES>::type scale_word;

struct alignas(16) Chunk {
    float at[4];
};

// load_early() loads a pack of codes, or its scales, before the block's next barrier: ordinary loads stay in front of it,
// while those of the read-only path are moved to where they are needed, and then fewer are under way at once.
#if STREAMING
#define CACHING ".L1::no_allocate"
#define FIRST_OUT ".L2::evict_first"
#else
#define CACHING ""
#define FIRST_OUT ""
#endif

__device__ __forceinline__ Pack load_early(const Pack* from)
{
#ifdef __CUDA_ARCH__
    Pack p;
#if PACK_BYTES == 32
    asm volatile("ld.global" CACHING FIRST_OUT ".v8.b32 {%0, %1, %2, %3, %4, %5, %6, %7}, [%8];"
        : "=r"(p.word[0]), "=r"(p.word[1]), "=r"(p.word[2]), "=r"(p.word[3]),
          "=r"(p.word[4]), "=r"(p.word[5]), "=r"(p.word[6]), "=r"(p.word[7]) : "l"(from) : "memory");
#else
    asm volatile("ld.global" CACHING ".v4.b32 {%0, %1, %2, %3}, [%4];"
        : "=r"(p.word[0]), "=r"(p.word[1]), "=r"(p.word[2]), "=r"(p.word[3]) : "l"(from) : "memory");
#endif
    return p;
#else
    return *from;
#endif
}

__device__ __forceinline__ u32 load_early(const scale_word* from)
{
#ifdef __CUDA_ARCH__
    u32 word;
    if (sizeof(scale_word) == 1) asm volatile("ld.global" CACHING ".u8 %0, [%1];" : "=r"(word) : "l"(from) : "memory");
    else if (sizeof(scale_word) == 2) asm volatile("ld.global" CACHING ".u16 %0, [%1];" : "=r"(word) : "l"(from) : "memory");
    else asm volatile("ld.global" CACHING ".u32 %0, [%1];" : "=r"(word) : "l"(from) : "memory");
    return word;
#else
    return *from;
#endif
}

// Starts a copy to shared memory, which await_copies() ends.
__device__ __forceinline__ void copy_to_shared(Chunk* to, const Chunk* from)
{
#ifdef __CUDA_ARCH__
    asm volatile("cp.async.ca.shared.global [%0], [%1], 16;" :: "r"((u32)__cvta_generic_to_shared(to)), "l"(from) : "memory");
#else
    *to = *from;
#endif
}

// Waits until the copies of the whole block have arrived.
__device__ __forceinline__ void await_copies()
{
#ifdef __CUDA_ARCH__
    asm volatile("cp.async.wait_all;" ::: "memory");
#endif
    __syncthreads();
}

// A tile of x in shared memory. One chunk is left free behind each pack's, so that neighbours read from other banks.
constexpr int CHUNKS = PER_PACK / 4;
typedef Chunk Tile[TILE_PACKS * (CHUNKS + 1)];

// Starts to bring x for a tile that begins with pack `first` to shared memory; every thread of the block must.
__device__ __forceinline__ void fetch(Tile& tile, const element* x, u64 first, u64 end)
{
    const u32 count = first + TILE_PACKS <= end ? TILE_PACKS * CHUNKS : first < end ? (u32)(end - first) * CHUNKS : 0;
    const Chunk* from = reinterpret_cast<const Chunk*>(x) + first * CHUNKS;
    ROLLED for (u32 i = threadIdx.x; i < count; i += THREADS) copy_to_shared(&tile[i + i / CHUNKS], from + i);
}

struct Sums {
    Pair of[ROWS];
    u32 nan[ROWS];  // weights::nan of all words
};

// What a warp reads: `count` rows of `pitch` packs, those below `end`.
struct Warp {
    const Pack* codes;
    const scale_word* scales;
    u64 pitch, end;
    int count;
};

// What a thread takes at once: in each row of its warp pack v and the U - 1 behind it by 32; those there are if not WHOLE.
template <bool WHOLE, int U> struct Packs {
    const Warp& warp;
    u64 v;
    Pack codes[U][ROWS];
    u32 scales[U][ROWS];

    __device__ __forceinline__ bool has(int u) const { return WHOLE || v + 32 * u < warp.end; }
    __device__ __forceinline__ bool has_row(int r) const { return WHOLE || r < warp.count; }

    __device__ __forceinline__ void load_all()
    {
        UNROLLED for (int u = 0; u < U; ++u)
            UNROLLED for (int r = 0; r < ROWS; ++r) {
                if (!has(u) || !has_row(r)) continue;
                codes[u][r] = load_early(warp.codes + r * warp.pitch + v + 32 * u);
                if (weights::GROUPED) scales[u][r] = load_early(warp.scales + r * warp.pitch + v + 32 * u);
            }
    }

    // x: that of the warp's first pack.
    __device__ __forceinline__ void add_products(const Chunk* x, Sums& sums) const
    {
        UNROLLED for (int u = 0; u < U; ++u)
            if (has(u)) add_pack(u, x + (32 * u + threadIdx.x % 32) * (CHUNKS + 1), sums);
    }

    __device__ __forceinline__ void add_pack(int u, const Chunk* x, Sums& sums) const
    {
        float factors[ROWS][GROUPS_OF_PACK];
        UNROLLED for (int r = 0; r < ROWS; ++r)
            if (weights::GROUPED && has_row(r)) weights::factors(scales[u][r], factors[r]);
        UNROLLED for (int g = 0; g < GROUPS_OF_PACK; ++g) {
            Sums group = weights::GROUPED ? Sums{} : sums;
            UNROLLED for (int s = g * STEPS_OF_GROUP; s < (g + 1) * STEPS_OF_GROUP; ++s) add_step(u, s, x, group);
            UNROLLED for (int r = 0; r < ROWS; ++r)
                if (weights::GROUPED && has_row(r)) add_group(group.of[r], factors[r][g], sums.of[r]);
            if (!weights::GROUPED) sums = group;
        }
    }

    static __device__ __forceinline__ void add_group(Pair group, float factor, Pair& sum)
    {
        const Pair products = {of_units(group.a, weights::UNIT), of_units(group.b, weights::UNIT)};
        sum = multiply_add(products, {factor, factor}, sum);
    }

    __device__ __forceinline__ void add_step(int u, int step, const Chunk* chunks, Sums& sums) const
    {
        Chunk x[STEP_CHUNKS];
        UNROLLED for (int c = 0; c < STEP_CHUNKS; ++c) x[c] = chunks[step * STEP_CHUNKS + c];
        UNROLLED for (int r = 0; r < ROWS; ++r)
            UNROLLED for (int w = 0; w < STEP_WORDS; ++w) {
                if (!has_row(r)) continue;
                const u32 word = codes[u][r].word[step * STEP_WORDS + w];
                Pair decoded[PER_WORD / 2];
                weights::decode(word, decoded);
                UNROLLED for (int k = 0; k < PER_WORD / 2; ++k) {
                    const int column = w * PER_WORD + 2 * k;
                    const float* from = x[column / 4].at + column % 4;
                    sums.of[r] = multiply_add(decoded[k], {from[0], from[1]}, sums.of[r]);
                }
                sums.nan[r] |= weights::nan(word);
            }
    }
};

// Returns a row's sum in lane 0.
__device__ __forceinline__ float warp_sum(Pair sum, u32 nan)
{
    float total = add(sum.a, sum.b);
    if (!weights::GROUPED) total = of_units(total, weights::UNIT);
    if (nan & 0x80808080u) total = not_a_number();
    UNROLLED for (int offset = 16; offset > 0; offset /= 2) total = add(total, __shfl_down_sync(0xffffffffu, total, offset));
    return total;
}

// y[i] for a sum over all columns: those scales are left that belong to more than a group.
__device__ __forceinline__ float scaled(float sum, const void* scales, const float32* tensor_scale, u64 i)
{
    if (weights::ROW_SCALE) sum = multiply(sum, static_cast<const float*>(scales)[i]);
    return weights::TENSOR_SCALE ? multiply(sum, *tensor_scale) : sum;
}

// scales and tensor_scale are null where the format has none.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM)
bandmark_quantized(const void* __restrict__ codes, const void* __restrict__ scales,
                     const float32* __restrict__ tensor_scale, const element* __restrict__ x, element* __restrict__ y,
                     accumulator* __restrict__ partials, u64 m, u64 n)
{
    __shared__ Tile tiles[2];
    const u64 pitch = n / PER_PACK, end = pitch * (blockIdx.y + 1) / gridDim.y;
    const u64 block_row = (u64)blockIdx.x * ROWS * WARPS, row = block_row + threadIdx.x / 32 * ROWS;
    const int count = row + ROWS <= m ? ROWS : row < m ? (int)(m - row) : 0;
    const Warp warp = {static_cast<const Pack*>(codes) + row * pitch,
                       static_cast<const scale_word*>(scales) + (weights::GROUPED ? row * pitch : 0), pitch, end, count};
    const bool rows_whole = block_row + ROWS * WARPS <= m;
    Sums sums = {};
    u64 first = pitch * blockIdx.y / gridDim.y;
    int which = 0;
    fetch(tiles[0], x, first, end);
    ROLLED for (; rows_whole && first + TILE_PACKS <= end; first += TILE_PACKS, which ^= 1) {
        Packs<true, UNROLL> packs{warp, first + threadIdx.x % 32, {}, {}};
        packs.load_all();
        await_copies();
        fetch(tiles[which ^ 1], x, first + TILE_PACKS, end);
        packs.add_products(tiles[which], sums);
    }
    ROLLED for (; first < end; first += TILE_PACKS, which ^= 1) {
        await_copies();
        fetch(tiles[which ^ 1], x, first + TILE_PACKS, end);
        ROLLED for (int u = 0; u < UNROLL; ++u) {
            Packs<false, 1> packs{warp, first + 32 * u + threadIdx.x % 32, {}, {}};
            packs.load_all();
            packs.add_products(tiles[which] + 32 * u * (CHUNKS + 1), sums);
        }
    }
    UNROLLED for (int r = 0; r < ROWS; ++r) {
        const float sum = warp_sum(sums.of[r], sums.nan[r]);
        if (threadIdx.x % 32 || r >= count) continue;
        if (gridDim.y == 1) y[row + r] = scaled(sum, scales, tensor_scale, row + r);
        else partials[blockIdx.y * m + row + r] = sum;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
bandmark_quantized_finish(const accumulator* __restrict__ partials, const void* __restrict__ scales,
                            const float32* __restrict__ tensor_scale, element* __restrict__ y, u64 m, u64 splits)
{
    const u64 i = (u64)blockIdx.x * THREADS + threadIdx.x;
    if (i >= m) return;
    accumulator sum = 0;
    for (u64 s = 0; s < splits; ++s) sum = add(sum, partials[s * m + i]);
    y[i] = scaled(sum, scales, tensor_scale, i);
}
