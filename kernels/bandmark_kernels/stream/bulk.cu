// bulk: copies of whole ranges from memory to shared memory and back, which the device makes by itself (TMA, sm_90 and
// later): a thread starts them, and waits for them. Addresses and sizes are multiples of 16 bytes.
//
//   BULK    1: there are such copies
//   STAGES  ranges of THREADS x UNROLL packs that a block has in shared memory
//
// The C++ beside the inline PTX makes each copy when it is awaited, as late as a device may; what a load replaces is lost
// when it begins, as early as on a device.

#if BULK

struct alignas(128) Stage {
    Pack packs[THREADS * UNROLL];
    u64 barrier;  // of the loads, one after the other: it is passed when all bytes of a load are there
#ifndef __CUDA_ARCH__
    const Pack* from;
    u32 count;
#endif
};

#ifdef __CUDA_ARCH__
__device__ __forceinline__ u32 in_shared(const void* p) { return (u32)__cvta_generic_to_shared(p); }
#endif

// Must come before a stage's first load.
__device__ __forceinline__ void set_up(Stage& stage)
{
#ifdef __CUDA_ARCH__
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;\n\tfence.proxy.async.shared::cta;"
        :: "r"(in_shared(&stage.barrier)) : "memory");
#else
    stage.barrier = 0, stage.count = 0;
#endif
}

// Starts to load `count` packs.
__device__ __forceinline__ void begin_load(Stage& stage, const Pack* from, u32 count)
{
#ifdef __CUDA_ARCH__
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;"
        :: "r"(in_shared(&stage.barrier)), "r"(count * PACK_BYTES) : "memory");
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
        :: "r"(in_shared(stage.packs)), "l"(from), "r"(count * PACK_BYTES), "r"(in_shared(&stage.barrier)) : "memory");
#else
    stage.from = from, stage.count += count;
    for (u32 i = 0; i < count; ++i)
        for (u32& word : stage.packs[i].word) word = ~0u;
#endif
}

// Waits for a stage's load: `odd` is 0 for its first, 1 for its second, 0 for its third, and so on. What has arrived is
// visible to copies that begin later.
__device__ __forceinline__ void await_load(Stage& stage, u32 odd)
{
#ifdef __CUDA_ARCH__
    u32 there = 0;
    while (!there)
        asm volatile("{.reg .pred passed;\n\t"
            "mbarrier.try_wait.parity.shared::cta.b64 passed, [%1], %2;\n\t"
            "selp.u32 %0, 1, 0, passed;}" : "=r"(there) : "r"(in_shared(&stage.barrier)), "r"(odd) : "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#else
    if (stage.barrier % 2 != odd) return;
    for (u32 i = 0; i < stage.count; ++i) stage.packs[i] = stage.from[i];
    ++stage.barrier, stage.count = 0;
#endif
}

// A thread's stores, in their order.
struct Stores {
#ifndef __CUDA_ARCH__
    const Stage* from[STAGES];
    Pack* to[STAGES];
    u32 count[STAGES];
    u64 begun = 0, made = 0;
#endif
};

// Waits until all but the last N stores have read their stages.
template <int N> __device__ __forceinline__ void await_stores(Stores& stores)
{
#ifdef __CUDA_ARCH__
    asm volatile("cp.async.bulk.wait_group.read %0;" :: "n"(N) : "memory");
#else
    for (; stores.made + N < stores.begun; ++stores.made) {
        const int which = stores.made % STAGES;
        for (u32 i = 0; i < stores.count[which]; ++i) stores.to[which][i] = stores.from[which]->packs[i];
    }
#endif
}

// Starts to store the first `count` packs of a stage.
__device__ __forceinline__ void begin_store(Stores& stores, const Stage& stage, Pack* to, u32 count)
{
#ifdef __CUDA_ARCH__
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;\n\tcp.async.bulk.commit_group;"
        :: "l"(to), "r"(in_shared(stage.packs)), "r"(count * PACK_BYTES) : "memory");
#else
    await_stores<STAGES - 1>(stores);
    const int which = stores.begun++ % STAGES;
    stores.from[which] = &stage, stores.to[which] = to, stores.count[which] = count;
#endif
}

#endif
