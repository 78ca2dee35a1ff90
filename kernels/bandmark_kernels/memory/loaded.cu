// loaded chase: block 0 makes the chase of chase.cu while the others read tiles (passes.cu), and wait between two tiles for
// `pause` cycles, until control[0] says that the chase has ended. Each leaves how many tiles it has read and their sum.
// control[1] tells the others where the chase runs: blocks on its multiprocessor leave at once. Both words are 0 before the
// launch, and all blocks must be resident together: those that read wait for block 0.

__device__ __forceinline__ unsigned long long look(const unsigned long long* word)
{
#ifdef __CUDA_ARCH__
    unsigned long long value;
    asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];" : "=l"(value) : "l"(word) : "memory");
    return value;
#else
    return __atomic_load_n(word, __ATOMIC_RELAXED);
#endif
}

__device__ __forceinline__ void tell(unsigned long long* word, unsigned long long value)
{
#ifdef __CUDA_ARCH__
    asm volatile("st.relaxed.gpu.global.u64 [%0], %1;" :: "l"(word), "l"(value) : "memory");
#else
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
#endif
}

// The number of this multiprocessor, from 1 on; without a device every block has its own.
__device__ __forceinline__ unsigned long long place()
{
#ifdef __CUDA_ARCH__
    unsigned int multiprocessor;
    asm volatile("mov.u32 %0, %smid;" : "=r"(multiprocessor));
    return 1ull + multiprocessor;
#else
    return 1ull + blockIdx.x;
#endif
}

// Waits until the pause is over or the chase has ended, and returns whether it has.
__device__ __forceinline__ bool has_ended(const unsigned long long* control, unsigned long long pause)
{
    const unsigned long long from = cycles();
    bool ended = look(control);
    while (!ended && cycles() - from < pause) ended = look(control);
    return ended;
}

extern "C" __global__ void __launch_bounds__(SUM_THREADS, 4)
bandmark_loaded_chase(const double* __restrict__ a, double* __restrict__ partials,
                      unsigned long long* __restrict__ counts, unsigned long long* __restrict__ control,
                      unsigned long long* __restrict__ state, unsigned long long hops, unsigned long long tiles,
                      unsigned long long step, unsigned long long pause)
{
    if (blockIdx.x == 0) {
        if (threadIdx.x > 0) return;
        tell(control + 1, place());
        chase(state, hops);
        tell(control, 1);
        return;
    }
    __shared__ bool stop[2];  // in turns: a slot is written again when all threads are past the barrier behind its reading
    Tiles own(a, tiles, step);
    unsigned long long count = 0;
    if (threadIdx.x == 0) {
        unsigned long long chaser = look(control + 1);
        while (chaser == 0) chaser = look(control + 1);
        stop[0] = chaser == place();
    }
    __syncthreads();
    while (!stop[count % 2]) {
        Two x[PASS_UNROLL];
        own.load(x);
        ++count;
        if (threadIdx.x == 0) stop[count % 2] = has_ended(control, pause);
        own.add(x);
        __syncthreads();
    }
    if (threadIdx.x == 0) counts[blockIdx.x] = count;
    leave_sum(partials, own.total());
}
