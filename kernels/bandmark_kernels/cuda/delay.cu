// delay: keeps the device busy for about `nanoseconds`, so that launches queue up behind it.
// It also ends once the multiprocessor's clock has counted 8 cycles for each of them: no device runs at 8 GHz, but the
// timer of some virtual GPUs stands still. Without a device's clock it returns at once.

extern "C" __global__ void bandmark_delay(unsigned long long nanoseconds)
{
#ifdef __CUDA_ARCH__
    unsigned long long start, now, first, cycles;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(start));
    asm volatile("mov.u64 %0, %clock64;" : "=l"(first));
    do {
        asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
        asm volatile("mov.u64 %0, %clock64;" : "=l"(cycles));
    } while (now - start < nanoseconds && cycles - first < 8 * nanoseconds);
#else
    (void)nanoseconds;
#endif
}
