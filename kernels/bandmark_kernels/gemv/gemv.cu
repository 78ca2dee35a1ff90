// gemv: y[i] = sum over j of A[i,j] * x[j], A row-major with m rows of n columns.
//
// A block takes ROWS rows, which share the loads of x, and one of gridDim.y ranges of columns. With several ranges the
// sums go to the workspace, and bandmark_gemv_finish adds those up.

template <int R, int U>
__device__ __forceinline__ void add_products(const element* A, const element* x, u64 pitch, u64 v, accumulator (&sums)[R])
{
    Pack a[R][U], b[U];
    UNROLLED for (int u = 0; u < U; ++u) {
        UNROLLED for (int r = 0; r < R; ++r) a[r][u] = load(A, r * pitch + v + u * THREADS);
        b[u] = load_cached(x, v + u * THREADS);
    }
    UNROLLED for (int u = 0; u < U; ++u)
        UNROLLED for (int k = 0; k < LANES; ++k)
            UNROLLED for (int r = 0; r < R; ++r) sums[r] += widen(a[r][u].at[k]) * widen(b[u].at[k]);
}

template <int R>
__device__ __forceinline__ void rows(
    const element* A, const element* x, element* y, accumulator* partials, u64 m, u64 n, u64 row)
{
    const u64 packs = n / LANES, end = packs * (blockIdx.y + 1) / gridDim.y;
    accumulator sums[R] = {};
    u64 v = packs * blockIdx.y / gridDim.y + threadIdx.x;
    ROLLED for (; v + (UNROLL - 1) * THREADS < end; v += UNROLL * THREADS)
        add_products<R, UNROLL>(A + row * n, x, packs, v, sums);
    ROLLED for (; v < end; v += THREADS) add_products<R, 1>(A + row * n, x, packs, v, sums);
    block_sums(sums);
    if (threadIdx.x == 0)
        UNROLLED for (int r = 0; r < R; ++r) put(y, partials, m, row + r, sums[r]);
}

// Rows that start on a pack boundary: n is a multiple of LANES.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM)
bandmark_gemv(const element* __restrict__ A, const element* __restrict__ x, element* __restrict__ y,
              accumulator* __restrict__ partials, u64 m, u64 n)
{
    const u64 row = (u64)blockIdx.x * ROWS;
    if (row + ROWS <= m) rows<ROWS>(A, x, y, partials, m, n, row);
    else ROLLED for (u64 r = row; r < m; ++r) rows<1>(A, x, y, partials, m, n, r);
}

// Any n: row by row, its elements before the first pack boundary one by one, and so those behind the last.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM)
bandmark_gemv_ragged(const element* __restrict__ A, const element* __restrict__ x, element* __restrict__ y,
                     accumulator* __restrict__ partials, u64 m, u64 n)
{
    const u64 first = n * blockIdx.y / gridDim.y, columns = n * (blockIdx.y + 1) / gridDim.y - first;
    const element* b = x + first;
    const u64 row = (u64)blockIdx.x * ROWS;
    ROLLED for (u64 r = row; r < row + ROWS && r < m; ++r) {
        const element* a = A + r * n + first;
        const u64 before = (u64)a % PACK_BYTES / sizeof(element), lead = before ? LANES - before : 0;
        const u64 start = lead < columns ? lead : columns, packs = (columns - start) / LANES;
        const u64 behind = start + packs * LANES + threadIdx.x;
        accumulator sums[1] = {};
        if (threadIdx.x < start) sums[0] += widen(a[threadIdx.x]) * widen(b[threadIdx.x]);
        if (behind < columns) sums[0] += widen(a[behind]) * widen(b[behind]);
        _Pragma("unroll 4") for (u64 v = threadIdx.x; v < packs; v += THREADS) {
            const Pack p = load(a + start, v);
            UNROLLED for (int k = 0; k < LANES; ++k) sums[0] += widen(p.at[k]) * widen(b[start + v * LANES + k]);
        }
        block_sums(sums);
        if (threadIdx.x == 0) put(y, partials, m, r, sums[0]);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
bandmark_gemv_finish(const accumulator* __restrict__ partials, element* __restrict__ y, u64 m, u64 splits)
{
    sum_splits(partials, y, m, splits);
}
