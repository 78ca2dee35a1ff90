// sums: blocks of 256 threads that each leave one sum.

constexpr int SUM_THREADS = 256;

// Writes the sum over the block's threads to sums[block]. Every thread of the block must call it.
template <class T> __device__ __forceinline__ void leave_sum(T* sums, T sum)
{
    __shared__ T all[SUM_THREADS];
    all[threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.x > 0) return;
    for (int t = 1; t < SUM_THREADS; ++t) sum += all[t];
    sums[blockIdx.x] = sum;
}
