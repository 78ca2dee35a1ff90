// passes: reads an array of `tiles` tiles over and over, `rounds` tiles in all. Block b takes tile b first and then every
// step-th, modulo their number; step has no factor in common with it, so that each block comes past every tile and no
// multiprocessor keeps a part of the array for itself. Each block leaves the sum of what it has read.

constexpr int PASS_THREADS = 256, PASS_UNROLL = 4;

struct alignas(16) Two {
    double at[2];
};

extern "C" __global__ void __launch_bounds__(PASS_THREADS, 4)
bandmark_passes(const double* __restrict__ a, double* __restrict__ partials, unsigned long long tiles,
                unsigned long long step, unsigned long long rounds)
{
    __shared__ double sums[PASS_THREADS];
    const Two* array = reinterpret_cast<const Two*>(a);
    double sum[PASS_UNROLL] = {};
    unsigned long long tile = blockIdx.x % tiles;
    _Pragma("unroll 1") for (unsigned long long round = blockIdx.x; round < rounds; round += gridDim.x) {
        const Two* from = array + tile * (PASS_THREADS * PASS_UNROLL) + threadIdx.x;
        Two x[PASS_UNROLL];
        _Pragma("unroll") for (int u = 0; u < PASS_UNROLL; ++u) x[u] = from[u * PASS_THREADS];
        _Pragma("unroll") for (int u = 0; u < PASS_UNROLL; ++u) sum[u] += x[u].at[0] + x[u].at[1];
        tile += step;
        if (tile >= tiles) tile -= tiles;
    }
    sums[threadIdx.x] = sum[0] + sum[1] + (sum[2] + sum[3]);
    __syncthreads();
    if (threadIdx.x > 0) return;
    double total = 0;
    for (int t = 0; t < PASS_THREADS; ++t) total += sums[t];
    partials[blockIdx.x] = total;
}
