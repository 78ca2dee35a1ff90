// What all kernels share: element types, packs (what one thread loads at once), tiles (what one block takes at once)
// and sums in a fixed order. Python puts this text in front of each kernel and sets the macros (cuda.py):
//
//   ELEMENT      float64, float32, float16 or bfloat16: the type of every operand
//   PACK_BYTES   8, 16 or 32: bytes of one load or store
//   UNROLL       packs per thread and tile, all loaded before the first is used
//   THREADS      threads of a block
//   BLOCKS_PER_SM  blocks that must fit a multiprocessor: it bounds the registers, and without it the compiler spreads
//                the loads out to save registers
//   ROWS, GROUPS  see gemv.cu and gemv_t.cu
//   GRID_STRIDE  1: a block takes every gridDim.x-th tile; 0: one tile a block
//   STREAMING    1: loads leave no copy in L1 and stores are marked as read by nobody soon, and of 32 bytes both are the
//                first that L2 gives up; 0: no cache hint
//   NATIVE_FP4   1: e2m1 codes are converted by the device's instruction
//
// Inline PTX stands only where __CUDA_ARCH__ is defined, with plain C++ beside it that computes the same.

typedef unsigned long long u64;
typedef unsigned int u32;
typedef unsigned short u16;

typedef double float64;
typedef float float32;
struct float16 { u16 bits; };
struct bfloat16 { u16 bits; };

// ---- numbers: halves are stored as bits, computed with as float

__device__ __forceinline__ double widen(double x) { return x; }
__device__ __forceinline__ float widen(float x) { return x; }

__device__ __forceinline__ float widen(float16 x)
{
#ifdef __CUDA_ARCH__
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
    return y;
#else
    const u32 sign = (x.bits & 0x8000u) << 16, magnitude = x.bits & 0x7fffu;
    if (magnitude >= 0x7c00u) return __uint_as_float(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
    const float scaled = __uint_as_float(magnitude << 13) * 0x1p112f;  // exact, subnormal or not
    return __uint_as_float(sign | __float_as_uint(scaled));
#endif
}

__device__ __forceinline__ float widen(bfloat16 x) { return __uint_as_float((u32)x.bits << 16); }

// Rounds to nearest, ties to even.
template <class T> __device__ __forceinline__ T narrow(double x) { return x; }
template <class T> __device__ __forceinline__ T narrow(float x) { return x; }

template <> __device__ __forceinline__ float16 narrow<float16>(float x)
{
    float16 y;
#ifdef __CUDA_ARCH__
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
#else
    const u32 bits = __float_as_uint(x), magnitude = bits & 0x7fffffffu;
    u32 half;
    if (magnitude > 0x7f800000u) half = 0x7fffu;  // NaN, as the hardware's conversion gives it
    else if (magnitude >= 0x477ff000u) half = 0x7c00u;  // 65520 and above round to infinity
    else if (magnitude < 0x38800000u) half = __float_as_uint(__uint_as_float(magnitude) + 0.5f) - 0x3f000000u;  // subnormal
    else half = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
    y.bits = (u16)(magnitude > 0x7f800000u ? half : half | (bits >> 16 & 0x8000u));
#endif
    return y;
}

template <> __device__ __forceinline__ bfloat16 narrow<bfloat16>(float x)
{
    bfloat16 y;
#ifdef __CUDA_ARCH__
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
#else
    const u32 bits = __float_as_uint(x);
    const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    y.bits = (u16)(nan ? 0x7fffu : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
#endif
    return y;
}

typedef ELEMENT element;
typedef decltype(widen(element())) accumulator;  // of sums, and of the scalar operands

// ---- packs

constexpr int LANES = PACK_BYTES / sizeof(element);

union alignas(PACK_BYTES) Pack {
    u32 word[PACK_BYTES / 4];
    element at[LANES];
};

#define UNROLLED _Pragma("unroll")
#define ROLLED _Pragma("unroll 1")  // one round of loads fills the registers; two would spill

#if STREAMING && defined(__CUDA_ARCH__)
// Loads a pack that is used once: the one with .nc takes the read-only path, the other stays in its place.
#if PACK_BYTES == 32
#define LOAD_ONCE(P, FROM, PATH, VOLATILE, ...) \
    asm VOLATILE("ld.global" PATH ".L1::no_allocate.L2::evict_first.v8.b32 {%0, %1, %2, %3, %4, %5, %6, %7}, [%8];" \
        : "=r"(P.word[0]), "=r"(P.word[1]), "=r"(P.word[2]), "=r"(P.word[3]), \
          "=r"(P.word[4]), "=r"(P.word[5]), "=r"(P.word[6]), "=r"(P.word[7]) : "l"(FROM) __VA_ARGS__)
#else
#define LOAD_ONCE(P, FROM, PATH, VOLATILE, ...) \
    asm VOLATILE("ld.global" PATH ".L1::no_allocate.v4.b32 {%0, %1, %2, %3}, [%4];" \
        : "=r"(P.word[0]), "=r"(P.word[1]), "=r"(P.word[2]), "=r"(P.word[3]) : "l"(FROM) __VA_ARGS__)
#endif
#endif

// Loads pack v of an array that no thread writes.
__device__ __forceinline__ Pack load(const element* array, u64 v)
{
    const Pack* from = reinterpret_cast<const Pack*>(array) + v;
#if STREAMING && defined(__CUDA_ARCH__)
    Pack p;
    LOAD_ONCE(p, from, ".nc", , );
    return p;
#else
    return *from;
#endif
}

// Loads pack v of an array that no thread writes and that other blocks read too: it may stay in cache.
__device__ __forceinline__ Pack load_cached(const element* array, u64 v)
{
    return reinterpret_cast<const Pack*>(array)[v];
}

// Loads pack v of an array whose packs this thread alone writes, later.
__device__ __forceinline__ Pack load_own(element* array, u64 v)
{
    Pack* from = reinterpret_cast<Pack*>(array) + v;
#if STREAMING && defined(__CUDA_ARCH__)
    Pack p;
    LOAD_ONCE(p, from, "", volatile, : "memory");
    return p;
#else
    return *from;
#endif
}

__device__ __forceinline__ void store(element* array, u64 v, Pack p)
{
    Pack* to = reinterpret_cast<Pack*>(array) + v;
#if STREAMING && defined(__CUDA_ARCH__) && PACK_BYTES == 32
    asm volatile("st.global.L1::no_allocate.L2::evict_first.v8.b32 [%8], {%0, %1, %2, %3, %4, %5, %6, %7};"
        :: "r"(p.word[0]), "r"(p.word[1]), "r"(p.word[2]), "r"(p.word[3]),
           "r"(p.word[4]), "r"(p.word[5]), "r"(p.word[6]), "r"(p.word[7]), "l"(to) : "memory");
#elif STREAMING && defined(__CUDA_ARCH__)
    asm volatile("st.global.cs.v4.b32 [%4], {%0, %1, %2, %3};"
        :: "r"(p.word[0]), "r"(p.word[1]), "r"(p.word[2]), "r"(p.word[3]), "l"(to) : "memory");
#else
    *to = p;
#endif
}

// Applies one(x, ...) to each lane of the packs.
template <class One, class... Packs> __device__ __forceinline__ Pack each_lane(One one, Packs... p)
{
    Pack out;
    UNROLLED for (int k = 0; k < LANES; ++k) out.at[k] = one(p.at[k]...);
    return out;
}

// ---- tiles: THREADS x UNROLL packs

// The packs of one tile: do_(u, v) is called for this thread's u-th pack, which is pack v of the array.
struct WholeTile {
    u64 first;
    template <class Do> __device__ __forceinline__ void packs(Do do_) const
    {
        UNROLLED for (int u = 0; u < UNROLL; ++u) do_(u, first + u * THREADS);
    }
};

struct LastTile {
    u64 first, end;
    template <class Do> __device__ __forceinline__ void packs(Do do_) const
    {
        UNROLLED for (int u = 0; u < UNROLL; ++u)
            if (first + u * THREADS < end) do_(u, first + u * THREADS);
    }
};

// Calls do_(tile) for the tiles of this block; only whole packs belong to a tile.
template <class Do> __device__ __forceinline__ void each_tile(u64 n, Do do_)
{
    const u64 packs = n / LANES, size = THREADS * UNROLL;
    u64 start = blockIdx.x * size;
#if GRID_STRIDE
    ROLLED for (; start + size <= packs; start += gridDim.x * size) do_(WholeTile{start + threadIdx.x});
    if (start < packs) do_(LastTile{start + threadIdx.x, packs});
#else
    if (start + size <= packs) do_(WholeTile{start + threadIdx.x});
    else do_(LastTile{start + threadIdx.x, packs});
#endif
}

// Elements that a thread writes side by side, so that no 4-byte word has two writers: their stores would be partial.
constexpr int WORD = sizeof(element) < 4 ? 4 / sizeof(element) : 1;

// Calls do_(i) for the elements behind the last whole pack, a word a thread of the last block.
template <class Do> __device__ __forceinline__ void each_rest(u64 n, Do do_)
{
    const u64 first = n / LANES * LANES + threadIdx.x * WORD;
    if (blockIdx.x == gridDim.x - 1)
        UNROLLED for (int k = 0; k < WORD; ++k)
            if (first + k < n) do_(first + k);
}

// ---- sums in a fixed order, so that a result has the same bits in every launch

// Replaces thread 0's COUNT sums by the block's. Every thread of the block must call it.
template <int COUNT> __device__ __forceinline__ void block_sums(accumulator (&sums)[COUNT])
{
    __shared__ accumulator warps[COUNT][THREADS / 32];
    __syncthreads();
    UNROLLED for (int r = 0; r < COUNT; ++r) {
        for (int offset = 16; offset > 0; offset /= 2) sums[r] += __shfl_down_sync(0xffffffffu, sums[r], offset);
        if (threadIdx.x % 32 == 0) warps[r][threadIdx.x / 32] = sums[r];
    }
    __syncthreads();
    if (threadIdx.x == 0)
        UNROLLED for (int r = 0; r < COUNT; ++r)
            for (int w = 1; w < THREADS / 32; ++w) sums[r] += warps[r][w];
}

// result = sum of the workspace's first `count` numbers; one block.
__device__ __forceinline__ void sum_partials(const accumulator* partials, accumulator* result, u64 count)
{
    accumulator sum[1] = {};
    for (u64 i = threadIdx.x; i < count; i += THREADS) sum[0] += partials[i];
    block_sums(sum);
    if (threadIdx.x == 0) *result = sum[0];
}

// A matrix kernel whose grid has several splits (gridDim.y) leaves a partial of each y[i] in the workspace.
__device__ __forceinline__ void put(element* y, accumulator* partials, u64 count, u64 i, accumulator sum)
{
    if (gridDim.y == 1) y[i] = narrow<element>(sum);
    else partials[blockIdx.y * count + i] = sum;
}

// y[i] = sum over s of partials[s, i].
__device__ __forceinline__ void sum_splits(const accumulator* partials, element* y, u64 count, u64 splits)
{
    const u64 first = ((u64)blockIdx.x * THREADS + threadIdx.x) * WORD;
    UNROLLED for (int k = 0; k < WORD; ++k) {
        if (first + k >= count) return;
        accumulator sum = 0;
        for (u64 s = 0; s < splits; ++s) sum += partials[s * count + first + k];
        y[first + k] = narrow<element>(sum);
    }
}
