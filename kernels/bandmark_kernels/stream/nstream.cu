// nstream: a[i] += b[i] + s * c[i].

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM)
bandmark_nstream(element* __restrict__ a, const element* __restrict__ b, const element* __restrict__ c, accumulator s, u64 n)
{
    const auto one = [s](element x, element y, element z) {
        return narrow<element>(widen(x) + (widen(y) + s * widen(z)));
    };
    each_tile(n, [&](auto tile) {
        Pack x[UNROLL], y[UNROLL], z[UNROLL];
        tile.packs([&](int u, u64 v) { x[u] = load_own(a, v), y[u] = load(b, v), z[u] = load(c, v); });
        tile.packs([&](int u, u64 v) { store(a, v, each_lane(one, x[u], y[u], z[u])); });
    });
    each_rest(n, [&](u64 i) { a[i] = one(a[i], b[i], c[i]); });
}
