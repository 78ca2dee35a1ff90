// delay: keeps the device busy for about `nanoseconds`, so that launches queue up behind it.
// Without a device's clock it returns at once.

extern "C" __global__ void bandmark_delay(unsigned long long nanoseconds)
{
#ifdef __CUDA_ARCH__
    unsigned long long start, now;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(start));
    do asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
    while (now - start < nanoseconds);
#else
    (void)nanoseconds;
#endif
}
