// clock: reads the clocks. Each block writes (multiprocessor, its clock's cycles, nanoseconds) to out[3 * block].
// Two launches give a multiprocessor's mean frequency between them: cycles over nanoseconds, on records that name the
// same multiprocessor. Without a device's clock the three are 0, 1 and 2.

extern "C" __global__ void __launch_bounds__(32) bandmark_clock(unsigned long long* out)
{
    unsigned long long cycles = 1, nanoseconds = 2;
    unsigned int multiprocessor = 0;
#ifdef __CUDA_ARCH__
    asm volatile("mov.u32 %0, %smid;" : "=r"(multiprocessor));
    asm volatile("mov.u64 %0, %clock64;" : "=l"(cycles));
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(nanoseconds));
#endif
    if (threadIdx.x == 0) {
        out[3 * blockIdx.x] = multiprocessor;
        out[3 * blockIdx.x + 1] = cycles;
        out[3 * blockIdx.x + 2] = nanoseconds;
    }
}
