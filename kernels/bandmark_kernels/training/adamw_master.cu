// adamw_master: the step of adamw.cu on a float32 master copy, its gradient in bfloat16, and the copy rounded to p.
// The master copy and the moments are the elements; a pack of them goes with half a pack of p and g.

union alignas(PACK_BYTES / 2) Half {
    u32 word[PACK_BYTES / 8];
    bfloat16 at[LANES];
};

// Loads half-pack v of an array that no thread writes.
__device__ __forceinline__ Half load_half(const bfloat16* array, u64 v)
{
    const Half* from = reinterpret_cast<const Half*>(array) + v;
#if STREAMING && defined(__CUDA_ARCH__)
    Half h;
#if PACK_BYTES == 32
    asm("ld.global.nc.L1::no_allocate.v4.b32 {%0, %1, %2, %3}, [%4];"
        : "=r"(h.word[0]), "=r"(h.word[1]), "=r"(h.word[2]), "=r"(h.word[3]) : "l"(from));
#else
    UNROLLED for (int w = 0; w < PACK_BYTES / 8; w += 2)
        asm("ld.global.nc.L1::no_allocate.v2.b32 {%0, %1}, [%2];"
            : "=r"(h.word[w]), "=r"(h.word[w + 1]) : "l"(from->word + w));
#endif
    return h;
#else
    return *from;
#endif
}

__device__ __forceinline__ void store_half(bfloat16* array, u64 v, Half h)
{
    Half* to = reinterpret_cast<Half*>(array) + v;
#if STREAMING && defined(__CUDA_ARCH__) && PACK_BYTES == 32
    asm volatile("st.global.cs.v4.b32 [%4], {%0, %1, %2, %3};"
        :: "r"(h.word[0]), "r"(h.word[1]), "r"(h.word[2]), "r"(h.word[3]), "l"(to) : "memory");
#elif STREAMING && defined(__CUDA_ARCH__)
    UNROLLED for (int w = 0; w < PACK_BYTES / 8; w += 2)
        asm volatile("st.global.cs.v2.b32 [%2], {%0, %1};" :: "r"(h.word[w]), "r"(h.word[w + 1]), "l"(to->word + w) : "memory");
#else
    *to = h;
#endif
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM)
bandmark_adamw_master(bfloat16* __restrict__ p, const bfloat16* __restrict__ g, element* __restrict__ master,
    element* __restrict__ m, element* __restrict__ v,
    accumulator decay, accumulator gain1, accumulator gain2, accumulator root, accumulator floor, u64 n)
{
    const auto step = [=](bfloat16& p, bfloat16 gradient, element& master, element& m, element& v) {
        const element g = widen(gradient);
        m += gain1 * (g - m);
        v += gain2 * (g * g - v);
        master = decay * master - m / (root * sqrtf(v) + floor);
        p = narrow<bfloat16>(master);
    };
    each_tile(n, [&](auto tile) {
        Half P[UNROLL], G[UNROLL];
        Pack W[UNROLL], M[UNROLL], V[UNROLL];
        tile.packs([&](int u, u64 i) {
            W[u] = load_own(master, i), G[u] = load_half(g, i), M[u] = load_own(m, i), V[u] = load_own(v, i);
        });
        tile.packs([&](int u, u64 i) {
            UNROLLED for (int k = 0; k < LANES; ++k) step(P[u].at[k], G[u].at[k], W[u].at[k], M[u].at[k], V[u].at[k]);
            store_half(p, i, P[u]), store(master, i, W[u]), store(m, i, M[u]), store(v, i, V[u]);
        });
    });
    each_rest(n, [&](u64 i) {
        element W = master[i], M = m[i], V = v[i];
        step(p[i], g[i], W, M, V);
        master[i] = W, m[i] = M, v[i] = V;
    });
}
