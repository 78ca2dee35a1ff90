// read: r = sum of a[i]. Each block adds up its tiles into a number of the workspace; bandmark_read_finish adds those up.

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM)
bandmark_read(const element* __restrict__ a, accumulator* __restrict__ partials, u64 n)
{
    accumulator sum[4] = {};
    each_tile(n, [&](auto tile) {
        Pack x[UNROLL];
        tile.packs([&](int u, u64 v) { x[u] = load(a, v); });
        tile.packs([&](int u, u64) { UNROLLED for (int k = 0; k < LANES; ++k) sum[u % 4] += widen(x[u].at[k]); });
    });
    each_rest(n, [&](u64 i) { sum[0] += widen(a[i]); });
    accumulator thread_sum[1] = {};
    UNROLLED for (int u = 0; u < 4; ++u) thread_sum[0] += sum[u];
    block_sums(thread_sum);
    if (threadIdx.x == 0) partials[blockIdx.x] = thread_sum[0];
}

extern "C" __global__ void __launch_bounds__(THREADS)
bandmark_read_finish(const accumulator* __restrict__ partials, accumulator* __restrict__ r, u64 count)
{
    sum_partials(partials, r, count);
}
