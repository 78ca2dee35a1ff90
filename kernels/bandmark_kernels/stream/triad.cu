// triad: a[i] = b[i] + s * c[i].

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM)
bandmark_triad(element* __restrict__ a, const element* __restrict__ b, const element* __restrict__ c, accumulator s, u64 n)
{
    const auto one = [s](element x, element y) { return narrow<element>(widen(x) + s * widen(y)); };
    each_tile(n, [&](auto tile) {
        Pack x[UNROLL], y[UNROLL];
        tile.packs([&](int u, u64 v) { x[u] = load(b, v), y[u] = load(c, v); });
        tile.packs([&](int u, u64 v) { store(a, v, each_lane(one, x[u], y[u])); });
    });
    each_rest(n, [&](u64 i) { a[i] = one(b[i], c[i]); });
}
