// adamw: one step of the optimizer on p, m and v in place. decay, gain1, gain2, root and floor are worked out from the
// learning rate, the betas, epsilon, the weight decay and the number of the step (adamw.py).

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM)
bandmark_adamw(element* __restrict__ p, const element* __restrict__ g, element* __restrict__ m, element* __restrict__ v,
    accumulator decay, accumulator gain1, accumulator gain2, accumulator root, accumulator floor, u64 n)
{
    const auto step = [=](element& p, element g, element& m, element& v) {
        m += gain1 * (g - m);
        v += gain2 * (g * g - v);
        p = decay * p - m / (root * sqrtf(v) + floor);
    };
    each_tile(n, [&](auto tile) {
        Pack P[UNROLL], G[UNROLL], M[UNROLL], V[UNROLL];
        tile.packs([&](int u, u64 i) { P[u] = load_own(p, i), G[u] = load(g, i), M[u] = load_own(m, i), V[u] = load_own(v, i); });
        tile.packs([&](int u, u64 i) {
            UNROLLED for (int k = 0; k < LANES; ++k) step(P[u].at[k], G[u].at[k], M[u].at[k], V[u].at[k]);
            store(p, i, P[u]), store(m, i, M[u]), store(v, i, V[u]);
        });
    });
    each_rest(n, [&](u64 i) {
        element P = p[i], M = m[i], V = v[i];
        step(P, g[i], M, V);
        p[i] = P, m[i] = M, v[i] = V;
    });
}
