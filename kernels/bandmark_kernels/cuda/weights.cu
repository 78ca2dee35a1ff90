// weights: the numbers that the codes and scales of quantized weights stand for. quantized.py has the rules, and
// -DWEIGHTS=... says which format: fp16, bf16, fp8, int8, int4, nvfp4 or mxfp4.
//
// Every code and every scale is decoded exactly. No sum or product flushes a subnormal number to zero, whatever the
// compiler is told (CuPy tells it to): scales may be subnormal. So those of floats are written in PTX, without .ftz.

// ---- arithmetic on floats, and on pairs of them: one instruction a pair where the device has it

struct Pair {
    float a, b;
};

__device__ __forceinline__ float add(float x, float y)
{
#ifdef __CUDA_ARCH__
    float z;
    asm("add.rn.f32 %0, %1, %2;" : "=f"(z) : "f"(x), "f"(y));
    return z;
#else
    return x + y;
#endif
}

__device__ __forceinline__ float multiply(float x, float y)
{
#ifdef __CUDA_ARCH__
    float z;
    asm("mul.rn.f32 %0, %1, %2;" : "=f"(z) : "f"(x), "f"(y));
    return z;
#else
    return x * y;
#endif
}

// x units, as a number.
__device__ __forceinline__ float of_units(float x, float unit) { return unit == 1 ? x : multiply(x, 1 / unit); }

// x * y + z, rounded once.
__device__ __forceinline__ Pair multiply_add(Pair x, Pair y, Pair z)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
    Pair out;
    asm("{.reg .b64 x, y, z;\n\t"
        "mov.b64 x, {%2, %3}; mov.b64 y, {%4, %5}; mov.b64 z, {%6, %7};\n\t"
        "fma.rn.f32x2 z, x, y, z;\n\t"
        "mov.b64 {%0, %1}, z;}"
        : "=f"(out.a), "=f"(out.b) : "f"(x.a), "f"(x.b), "f"(y.a), "f"(y.b), "f"(z.a), "f"(z.b));
    return out;
#elif defined(__CUDA_ARCH__)
    asm("fma.rn.f32 %0, %1, %2, %0;" : "+f"(z.a) : "f"(x.a), "f"(y.a));
    asm("fma.rn.f32 %0, %1, %2, %0;" : "+f"(z.b) : "f"(x.b), "f"(y.b));
    return z;
#else
    return {__builtin_fmaf(x.a, y.a, z.a), __builtin_fmaf(x.b, y.b, z.b)};
#endif
}

// The same of two float16 in a word.
__device__ __forceinline__ u32 multiply_add_halves(u32 x, u32 y, u32 z)
{
#ifdef __CUDA_ARCH__
    asm("fma.rn.f16x2 %0, %1, %2, %0;" : "+r"(z) : "r"(x), "r"(y));
    return z;
#else
    u32 out = 0;
    for (int shift = 0; shift < 32; shift += 16) {
        const auto half = [&](u32 halves) { return widen(float16{(u16)(halves >> shift)}); };
        out |= (u32)narrow<float16>(__builtin_fmaf(half(x), half(y), half(z))).bits << shift;
    }
    return out;
#endif
}

__device__ __forceinline__ float widen_half(u32 halves, bool upper)
{
    return widen(float16{(u16)(upper ? halves >> 16 : halves)});
}

__device__ __forceinline__ Pair widen_halves(u32 halves) { return {widen_half(halves, false), widen_half(halves, true)}; }

// Four of the eight bytes of high:low, by the digits of `which`.
__device__ __forceinline__ u32 pick_bytes(u32 low, u32 high, u32 which)
{
#ifdef __CUDA_ARCH__
    u32 out;
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(out) : "r"(low), "r"(high), "r"(which));
    return out;
#else
    const u64 bytes = (u64)high << 32 | low;
    u32 out = 0;
    for (int k = 0; k < 4; ++k) out |= (u32)(bytes >> 8 * (which >> 4 * k & 7) & 0xff) << 8 * k;
    return out;
#endif
}

// ---- numbers of 8 and 4 bits

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
#define NATIVE_FP8 1
#else
#define NATIVE_FP8 0
#endif

__device__ __forceinline__ float not_a_number() { return __uint_as_float(0x7fc00000u); }

// Two e4m3 codes as two float16, in units of 2^-8 where the device has no such conversion: sign, exponent and fraction
// are moved to where float16 has them. A NaN comes out as 480 then.
constexpr float E4M3_UNIT = NATIVE_FP8 ? 1 : 0x1p-8f;

__device__ __forceinline__ u32 e4m3_halves(u32 word, bool upper)
{
#if NATIVE_FP8
    u32 halves;
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(halves) : "h"((u16)(upper ? word >> 16 : word)));
    return halves;
#else
    const u32 high = pick_bytes(word, 0, upper ? 0x3424 : 0x1404);
    return (high & 0x80008000u) | (high >> 1 & 0x3f803f80u);
#endif
}

// The sign bits of those bytes that are NaN as e4m3 codes, where e4m3_halves does not tell.
__device__ __forceinline__ u32 e4m3_nan(u32 word) { return NATIVE_FP8 ? 0 : (word & 0x7f7f7f7fu) + 0x01010101u; }

// The eight e2m1 codes of a word, in units of E2M1_UNIT: by the device's own conversion of a byte into two float16, as
// e4m3 codes where there is a conversion of those, or as bits of float16.
#ifndef E2M1_AS_E4M3
#define E2M1_AS_E4M3 NATIVE_FP8
#endif

#if NATIVE_FP4

constexpr float E2M1_UNIT = 1;

__device__ __forceinline__ void decode_e2m1(u32 word, Pair (&weights)[4])
{
    u32 halves[4];
#ifdef __CUDA_ARCH__
    asm("{.reg .b8 a, b, c, d;\n\t"
        "mov.b32 {a, b, c, d}, %4;\n\t"
        "cvt.rn.f16x2.e2m1x2 %0, a; cvt.rn.f16x2.e2m1x2 %1, b;\n\t"
        "cvt.rn.f16x2.e2m1x2 %2, c; cvt.rn.f16x2.e2m1x2 %3, d;}"
        : "=r"(halves[0]), "=r"(halves[1]), "=r"(halves[2]), "=r"(halves[3]) : "r"(word));
#else
    const auto half = [](u32 code) {
        const u32 magnitude = code & 7;
        return (code & 8) << 12 | (magnitude > 1 ? 0x3800u + (magnitude << 9) : magnitude * 0x3800u);
    };
    for (int k = 0; k < 4; ++k) halves[k] = half(word >> 8 * k) | half(word >> (8 * k + 4)) << 16;
#endif
    UNROLLED for (int k = 0; k < 4; ++k) weights[k] = widen_halves(halves[k]);
}

#elif E2M1_AS_E4M3

// An e2m1 code's bits, sign apart, are the last of e4m3's exponent and the first of its fraction: in units of 2^-6.
constexpr float E2M1_UNIT = E4M3_UNIT * 0x1p-6f;

__device__ __forceinline__ void decode_e2m1(u32 word, Pair (&weights)[4])
{
    const u32 even = (word << 4 & 0x80808080u) | (word << 2 & 0x1c1c1c1cu);
    const u32 odd = (word & 0x80808080u) | (word >> 2 & 0x1c1c1c1cu);
    UNROLLED for (int k = 0; k < 4; k += 2) {
        const u32 a = e4m3_halves(even, k), b = e4m3_halves(odd, k);
        weights[k] = {widen_half(a, false), widen_half(b, false)};
        weights[k + 1] = {widen_half(a, true), widen_half(b, true)};
    }
}

#else

// They are the last bits of float16's exponent and the first of its fraction: in units of 2^-14, 1 being subnormal.
constexpr float E2M1_UNIT = 0x1p-14f;

__device__ __forceinline__ void decode_e2m1(u32 word, Pair (&weights)[4])
{
    u32 apart[4];  // codes k and k + 4
    UNROLLED for (int k = 0; k < 4; ++k)
        apart[k] = (word << (12 - 4 * k) & 0x80008000u) | ((k < 3 ? word << (9 - 4 * k) : word >> 3) & 0x0e000e00u);
    UNROLLED for (int k = 0; k < 4; ++k) {
        const int even = 2 * k % 4;
        weights[k] = {widen_half(apart[even], k >= 2), widen_half(apart[even + 1], k >= 2)};
    }
}

#endif

// ---- formats: BITS of a code, weights of a GROUP (0: no scales, or the row's), bytes of its scale, and in which UNIT the
// decoded weights are. decode() gives the weights of a word; nan() sets a sign bit where decode() has missed a NaN;
// factors() gives the scales of a pack, lowest byte first.

namespace formats {  // CUDA has an int4 of its own

template <int BITS_, int GROUP_ = 0, int SCALE_BYTES_ = 0> struct Format {
    static constexpr int BITS = BITS_, GROUP = GROUP_, SCALE_BYTES = SCALE_BYTES_;
    static constexpr bool GROUPED = GROUP > 0, ROW_SCALE = !GROUPED && SCALE_BYTES > 0, TENSOR_SCALE = false;
    static constexpr float UNIT = 1;
    static __device__ __forceinline__ u32 nan(u32) { return 0; }
    template <int N> static __device__ __forceinline__ void factors(u32, float (&)[N]) {}
};

struct fp16 : Format<16> {
    static __device__ __forceinline__ void decode(u32 word, Pair (&weights)[1]) { weights[0] = widen_halves(word); }
};

struct bf16 : Format<16> {
    static __device__ __forceinline__ void decode(u32 word, Pair (&weights)[1])
    {
        weights[0] = {__uint_as_float(word << 16), __uint_as_float(word & 0xffff0000u)};
    }
};

struct fp8 : Format<8, 0, 4> {
    static constexpr float UNIT = E4M3_UNIT;
    static __device__ __forceinline__ u32 nan(u32 word) { return e4m3_nan(word); }
    static __device__ __forceinline__ void decode(u32 word, Pair (&weights)[2])
    {
        weights[0] = widen_halves(e4m3_halves(word, false));
        weights[1] = widen_halves(e4m3_halves(word, true));
    }
};

struct int8 : Format<8, 0, 4> {
    static __device__ __forceinline__ void decode(u32 word, Pair (&weights)[2])
    {
        const u32 raised = word ^ 0x80808080u;  // code + 128, which becomes the last byte of 2^23 + code + 128
        const auto weight = [&](u32 k) { return add(__uint_as_float(pick_bytes(raised, 0x4b000000u, 0x7440 + k)), -8388736.0f); };
        weights[0] = {weight(0), weight(1)};
        weights[1] = {weight(2), weight(3)};
    }
};

struct int4 : Format<4, 32, 2> {
    static constexpr float UNIT = 0x1p-9f;
    static __device__ __forceinline__ void decode(u32 word, Pair (&weights)[4])
    {
        u32 apart[4];  // codes k and k + 4: as a float16's last bits a code c is 2^-24 c; (c - 8) 2^-9 is exact, too
        UNROLLED for (int k = 0; k < 4; k += 2) {
            const u32 codes = word >> 4 * k;
            apart[k] = multiply_add_halves(codes & 0x000f000fu, 0x78007800u, 0xa400a400u);      // * 2^15 - 2^-6
            apart[k + 1] = multiply_add_halves(codes & 0x00f000f0u, 0x68006800u, 0xa400a400u);  // * 2^11 - 2^-6
        }
        UNROLLED for (int k = 0; k < 4; ++k) {
            const int even = 2 * k % 4;
            weights[k] = {widen_half(apart[even], k >= 2), widen_half(apart[even + 1], k >= 2)};
        }
    }
    template <int N> static __device__ __forceinline__ void factors(u32 scales, float (&out)[N])
    {
        UNROLLED for (int g = 0; g < N; ++g) out[g] = widen_half(scales, g == 1);
    }
};

struct nvfp4 : Format<4, 16, 1> {
    static constexpr bool TENSOR_SCALE = true;
    static __device__ __forceinline__ void decode(u32 word, Pair (&weights)[4]) { decode_e2m1(word, weights); }
    template <int N> static __device__ __forceinline__ void factors(u32 scales, float (&out)[N])
    {
        UNROLLED for (int g = 0; g < N; ++g) {
            const float value = widen_half(e4m3_halves(scales, g >= 2), g % 2);
            const bool nan = e4m3_nan(scales) >> (8 * g + 7) & 1;
            out[g] = nan ? not_a_number() : of_units(value, E4M3_UNIT * E2M1_UNIT);
        }
    }
};

struct mxfp4 : Format<4, 32, 1> {
    static constexpr float UNIT = E2M1_UNIT;
    static __device__ __forceinline__ void decode(u32 word, Pair (&weights)[4]) { decode_e2m1(word, weights); }
    template <int N> static __device__ __forceinline__ void factors(u32 scales, float (&out)[N])
    {
        UNROLLED for (int g = 0; g < N; ++g) {
            const u32 code = scales >> 8 * g & 0xff;  // 2^(code - 127): 0 is subnormal, 255 is NaN
            out[g] = __uint_as_float(code << 23 | (((code + 1) & 0xff) < 2 ? 0x00400000u : 0));
        }
    }
};

}  // namespace formats

typedef formats::WEIGHTS weights;
