// scale: b[i] = s * a[i].

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM)
bandmark_scale(const element* __restrict__ a, element* __restrict__ b, accumulator s, u64 n)
{
    const auto one = [s](element x) { return narrow<element>(s * widen(x)); };
    each_tile(n, [&](auto tile) {
        Pack x[UNROLL];
        tile.packs([&](int u, u64 v) { x[u] = load(a, v); });
        tile.packs([&](int u, u64 v) { store(b, v, each_lane(one, x[u])); });
    });
    each_rest(n, [&](u64 i) { b[i] = one(a[i]); });
}
