// Products of a warp on the tensor cores, and the numbers of a cache: what kv.cu is made of.
//
//   FP8  1: the cache holds e4m3 codes, with a scale each for K and V; 0: elements

#if FP8
struct cached { unsigned char bits; };
#else
typedef element cached;
#endif

template <class T> constexpr bool is_float16 = false;
template <> constexpr bool is_float16<float16> = true;
constexpr bool IS_FLOAT16 = is_float16<element>;

constexpr u32 ALL = 0xffffffffu;

#if FP8 && defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
constexpr float CODE_UNIT = 1.0f;
#elif FP8
constexpr float CODE_UNIT = 256.0f;  // decode() leaves that out
#else
constexpr float CODE_UNIT = 1.0f;
#endif

// ---- numbers

__device__ __forceinline__ float exp2_of(float x)
{
#ifdef __CUDA_ARCH__
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#else
    return __builtin_exp2f(x);
#endif
}

__device__ __forceinline__ float higher(float x, float y) { return x > y ? x : y; }

// Two elements in a register, the first in the low half.
__device__ __forceinline__ u32 two(float low, float high)
{
#ifdef __CUDA_ARCH__
    u32 both;
    if constexpr (IS_FLOAT16) asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    else asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
#else
    return narrow<element>(low).bits | (u32)narrow<element>(high).bits << 16;
#endif
}

// ---- products on a warp

// c += A B: A has 16 rows, B 8 columns (query heads), and both have 16 terms. Lane 4 r + p holds of A the
// terms 2 p, 2 p + 1 of row r (a0) and row r + 8 (a1), and those 8 further on (a2, a3); of B the same terms of column r
// (b0, b1); of c the columns 2 p, 2 p + 1 of row r, then of row r + 8 (PTX ISA, mma.m16n8k16).
__device__ __forceinline__ void multiply(float (&c)[4], u32 a0, u32 a1, u32 a2, u32 a3, const u32 (&b)[2])
{
#ifdef __CUDA_ARCH__
    if constexpr (IS_FLOAT16)
        asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
            : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b[0]), "r"(b[1]));
    else
        asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
            : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b[0]), "r"(b[1]));
#else
    const int row = threadIdx.x % 32 / 4, column = threadIdx.x % 4 * 2;
    for (int p = 0; p < 4; ++p) {
        const u64 upper = __shfl_sync(ALL, (u64)a2 << 32 | a0, 4 * row + p);
        const u64 lower = __shfl_sync(ALL, (u64)a3 << 32 | a1, 4 * row + p);
        for (int n = 0; n < 2; ++n) {
            const u64 terms = __shfl_sync(ALL, (u64)b[1] << 32 | b[0], 4 * (column + n) + p);
            for (int k = 0; k < 64; k += 16) {
                const float one = widen(element{(u16)(terms >> k)});
                c[n] += widen(element{(u16)(upper >> k)}) * one;
                c[2 + n] += widen(element{(u16)(lower >> k)}) * one;
            }
        }
    }
#endif
}

// Of 8 x 8 elements, of which lane 4 r + p holds the columns 2 p, 2 p + 1 of row r, returns those of column r in the
// rows 2 p, 2 p + 1 (PTX ISA, movmatrix).
__device__ __forceinline__ u32 transpose(u32 both)
{
#ifdef __CUDA_ARCH__
    u32 turned;
    asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(turned) : "r"(both));
    return turned;
#else
    const int row = threadIdx.x % 32 / 4, column = threadIdx.x % 4 * 2, half = 16 * (row % 2);
    const u32 first = __shfl_sync(ALL, both, 4 * column + row / 2);
    const u32 second = __shfl_sync(ALL, both, 4 * (column + 1) + row / 2);
    return (first >> half & 0xffffu) | (second >> half & 0xffffu) << 16;
#endif
}

#if FP8
// The e4m3 codes in the low or the high half of a word as float16: their values, or 1 / CODE_UNIT of them. NaN stays NaN.
__device__ __forceinline__ u32 decode(u32 word, bool high)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
    u32 halves;
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(halves) : "h"((u16)(high ? word >> 16 : word)));
    return halves;
#else
    const u32 apart = high ? (word >> 8 & 0xff00u) | (word & 0xff000000u) : (word & 0xffu) << 8 | (word & 0xff00u) << 16;
    const u32 magnitude = apart >> 1 & 0x3f803f80u;
    const u32 nan = (magnitude + 0x00800080u) & 0x40004000u;  // 0x7f is the only such code; it gets every exponent bit
    return (apart & 0x80008000u) | magnitude | nan;
#endif
}
#endif

// Elements 2 i and 2 i + 1 of what was loaded.
template <class P> __device__ __forceinline__ u32 pair(const P& pack, int i)
{
#if FP8
    return decode(pack.word[i / 2], i % 2);
#else
    return pack.word[i];
#endif
}
