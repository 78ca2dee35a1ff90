// add: c[i] = a[i] + b[i].

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM)
bandmark_add(const element* __restrict__ a, const element* __restrict__ b, element* __restrict__ c, u64 n)
{
    const auto one = [](element x, element y) { return narrow<element>(widen(x) + widen(y)); };
    each_tile(n, [&](auto tile) {
        Pack x[UNROLL], y[UNROLL];
        tile.packs([&](int u, u64 v) { x[u] = load(a, v), y[u] = load(b, v); });
        tile.packs([&](int u, u64 v) { store(c, v, each_lane(one, x[u], y[u])); });
    });
    each_rest(n, [&](u64 i) { c[i] = one(a[i], b[i]); });
}
