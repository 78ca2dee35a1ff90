// copy: b[i] = a[i], bit by bit.

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM)
bandmark_copy(const element* __restrict__ a, element* __restrict__ b, u64 n)
{
    each_tile(n, [&](auto tile) {
        Pack x[UNROLL];
        tile.packs([&](int u, u64 v) { x[u] = load(a, v); });
        tile.packs([&](int u, u64 v) { store(b, v, x[u]); });
    });
    each_rest(n, [&](u64 i) { b[i] = a[i]; });
}
