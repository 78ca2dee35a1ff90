// write: a[i] = s.

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM)
bandmark_write(element* __restrict__ a, accumulator s, u64 n)
{
    const element one = narrow<element>(s);
    Pack x;
    UNROLLED for (int k = 0; k < LANES; ++k) x.at[k] = one;
    each_tile(n, [&](auto tile) { tile.packs([&](int, u64 v) { store(a, v, x); }); });
    each_rest(n, [&](u64 i) { a[i] = one; });
}
