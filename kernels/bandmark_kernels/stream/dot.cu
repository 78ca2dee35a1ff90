// dot: r = sum of a[i] * b[i]. Each block adds up its tiles into a number of the workspace; bandmark_dot_finish adds those up.

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM)
bandmark_dot(const element* __restrict__ a, const element* __restrict__ b, accumulator* __restrict__ partials, u64 n)
{
    accumulator sum[UNROLL] = {};
    each_tile(n, [&](auto tile) {
        Pack x[UNROLL], y[UNROLL];
        tile.packs([&](int u, u64 v) { x[u] = load(a, v), y[u] = load(b, v); });
        tile.packs([&](int u, u64) {
            UNROLLED for (int k = 0; k < LANES; ++k) sum[u] += widen(x[u].at[k]) * widen(y[u].at[k]);
        });
    });
    each_rest(n, [&](u64 i) { sum[0] += widen(a[i]) * widen(b[i]); });
    accumulator thread_sum[1] = {};
    UNROLLED for (int u = 0; u < UNROLL; ++u) thread_sum[0] += sum[u];
    block_sums(thread_sum);
    if (threadIdx.x == 0) partials[blockIdx.x] = thread_sum[0];
}

extern "C" __global__ void __launch_bounds__(THREADS)
bandmark_dot_finish(const accumulator* __restrict__ partials, accumulator* __restrict__ r, u64 count)
{
    sum_partials(partials, r, count);
}
