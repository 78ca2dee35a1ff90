// copy: b[i] = a[i], bit by bit.

#if BULK

constexpr int BEHIND = STAGES / 2;  // stores that may be under way while a stage is loaded anew; the other half are loads

// A thread sends the block's tiles through a ring of stages: k-th tile, stage k % STAGES.
__device__ __forceinline__ void copy_tiles(Stage (&stages)[STAGES], const Pack* a, Pack* b, u64 packs)
{
    constexpr u64 size = THREADS * UNROLL;
    const auto first = [](u64 k) { return (blockIdx.x + k * gridDim.x) * size; };
    const auto count = [&](u64 k) { return (u32)(first(k) + size <= packs ? size : packs - first(k)); };
    const auto load_tile = [&](u64 k) { if (first(k) < packs) begin_load(stages[k % STAGES], a + first(k), count(k)); };
    Stores stores;
    UNROLLED for (int k = 0; k < STAGES; ++k) set_up(stages[k]), load_tile(k);
    ROLLED for (u64 k = 0; first(k) < packs; ++k) {
        await_load(stages[k % STAGES], k / STAGES % 2);
        begin_store(stores, stages[k % STAGES], b + first(k), count(k));
        if (k < BEHIND) continue;
        await_stores<BEHIND>(stores);
        load_tile(k - BEHIND + STAGES);
    }
    await_stores<0>(stores);
}

#endif

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM)
bandmark_copy(const element* __restrict__ a, element* __restrict__ b, u64 n)
{
#if BULK
    __shared__ Stage stages[STAGES];
    static_assert(sizeof stages <= 48 * 1024, "a block has no more shared memory unless its launch asks for it");
    if (threadIdx.x == 0)
        copy_tiles(stages, reinterpret_cast<const Pack*>(a), reinterpret_cast<Pack*>(b), n / LANES);
#else
    each_tile(n, [&](auto tile) {
        Pack x[UNROLL];
        tile.packs([&](int u, u64 v) { x[u] = load(a, v); });
        tile.packs([&](int u, u64 v) { store(b, v, x[u]); });
    });
#endif
    each_rest(n, [&](u64 i) { b[i] = a[i]; });
}
