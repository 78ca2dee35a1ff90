// chase: one thread follows a ring of addresses, `hops` of them (a multiple of 16), from state[0] on. It leaves there the
// address that it has reached, and the cycles and nanoseconds that it took in state[1] and state[2]; without a device's
// clock these are 0. The clocks are read when the last load is under way: one latency in thousands is missed.

__device__ __forceinline__ unsigned long long follow(unsigned long long address)
{
#ifdef __CUDA_ARCH__
    // without a qualifier it is served by L1 as the loads of any kernel; volatile, so that none is left out
    asm volatile("ld.global.u64 %0, [%0];" : "+l"(address) :: "memory");
    return address;
#else
    return *(const unsigned long long*)address;
#endif
}

__device__ __forceinline__ unsigned long long cycles()
{
    unsigned long long now = 0;
#ifdef __CUDA_ARCH__
    asm volatile("mov.u64 %0, %clock64;" : "=l"(now) :: "memory");
#endif
    return now;
}

__device__ __forceinline__ unsigned long long nanoseconds()
{
    unsigned long long now = 0;
#ifdef __CUDA_ARCH__
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now) :: "memory");
#endif
    return now;
}

__device__ __forceinline__ void chase(unsigned long long* state, unsigned long long hops)
{
    unsigned long long address = state[0];
    const unsigned long long ns = nanoseconds(), from = cycles();
    for (unsigned long long k = 0; k < hops; k += 16) {
        _Pragma("unroll") for (int i = 0; i < 16; ++i) address = follow(address);
    }
    state[1] = cycles() - from;
    state[2] = nanoseconds() - ns;
    state[0] = address;
}

extern "C" __global__ void __launch_bounds__(32)
bandmark_chase(unsigned long long* state, unsigned long long hops)
{
    chase(state, hops);
}
