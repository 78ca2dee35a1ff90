// passes: reads an array of `tiles` tiles over and over, `rounds` tiles in all. Block b takes tile b first and then every
// step-th, modulo their number; step has no factor in common with it, so that each block comes past every tile and no
// multiprocessor keeps a part of the array for itself. Each block leaves the sum of what it has read (sums.cu).

constexpr int PASS_UNROLL = 4;

struct alignas(16) Two {
    double at[2];
};

// The tiles of a block, one after the other.
struct Tiles {
    const Two* array;
    unsigned long long tiles, step, tile;
    double sum[PASS_UNROLL];

    __device__ __forceinline__ Tiles(const double* a, unsigned long long tiles, unsigned long long step)
        : array(reinterpret_cast<const Two*>(a)), tiles(tiles), step(step), tile(blockIdx.x % tiles), sum{}
    {
    }

    __device__ __forceinline__ void load(Two (&x)[PASS_UNROLL]) const
    {
        const Two* from = array + tile * (SUM_THREADS * PASS_UNROLL) + threadIdx.x;
        _Pragma("unroll") for (int u = 0; u < PASS_UNROLL; ++u) x[u] = from[u * SUM_THREADS];
    }

    // Adds what was loaded and goes on to the next tile.
    __device__ __forceinline__ void add(const Two (&x)[PASS_UNROLL])
    {
        _Pragma("unroll") for (int u = 0; u < PASS_UNROLL; ++u) sum[u] += x[u].at[0] + x[u].at[1];
        tile += step;
        if (tile >= tiles) tile -= tiles;
    }

    __device__ __forceinline__ double total() const { return sum[0] + sum[1] + (sum[2] + sum[3]); }
};

extern "C" __global__ void __launch_bounds__(SUM_THREADS, 4)
bandmark_passes(const double* __restrict__ a, double* __restrict__ partials, unsigned long long tiles,
                unsigned long long step, unsigned long long rounds)
{
    Tiles own(a, tiles, step);
    _Pragma("unroll 1") for (unsigned long long round = blockIdx.x; round < rounds; round += gridDim.x) {
        Two x[PASS_UNROLL];
        own.load(x);
        own.add(x);
    }
    leave_sum(partials, own.total());
}
