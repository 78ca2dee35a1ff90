// fp4: compiles only where the target has a conversion of e2m1, as sm_121a has and sm_121 has not. Out of 256 codes of two
// numbers each it makes as many words of two float16; without a device it does nothing.

extern "C" __global__ void bandmark_fp4(unsigned long long* out)
{
#ifdef __CUDA_ARCH__
    unsigned halves;
    asm("{.reg .b8 a, b, c, d;\n\t"
        "mov.b32 {a, b, c, d}, %1;\n\t"
        "cvt.rn.f16x2.e2m1x2 %0, a;}" : "=r"(halves) : "r"(threadIdx.x));
    out[threadIdx.x] = halves;
#else
    (void)out;
#endif
}
