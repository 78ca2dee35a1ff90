// gemv: y[i] = sum over j of A[i,j] * x[j], A row-major with m rows of n columns.
//
// A block takes ROWS rows, which share the loads of x, and one of gridDim.y ranges of columns; each of the rows that
// remain has a block of its own. With several ranges the sums go to the workspace, and gemv_finish adds those up.

template <int R, int U>
__device__ __forceinline__ void add_products(const element* A, const element* x, u64 pitch, u64 v, accumulator (&sums)[R])
{
    Pack a[R][U], b[U];
    UNROLLED for (int u = 0; u < U; ++u) {
        UNROLLED for (int r = 0; r < R; ++r) a[r][u] = load(A, r * pitch + v + u * THREADS);
        b[u] = load_shared(x, v + u * THREADS);
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
    const accumulator sum = block_sums(sums);
    if (threadIdx.x < R) put(y, partials, m, row + threadIdx.x, sum);
}

// Rows that start on a pack boundary: n is a multiple of LANES.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM)
gemv(const element* __restrict__ A, const element* __restrict__ x, element* __restrict__ y,
     accumulator* __restrict__ partials, u64 m, u64 n)
{
    const u64 groups = m / ROWS;
    if (blockIdx.x < groups) rows<ROWS>(A, x, y, partials, m, n, blockIdx.x * (u64)ROWS);
    else rows<1>(A, x, y, partials, m, n, groups * (ROWS - 1) + blockIdx.x);
}

// Any n: a block takes one row, its elements before the first pack boundary one by one, and so those behind the last.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM)
gemv_ragged(const element* __restrict__ A, const element* __restrict__ x, element* __restrict__ y,
            accumulator* __restrict__ partials, u64 m, u64 n)
{
    const u64 first = n * blockIdx.y / gridDim.y, columns = n * (blockIdx.y + 1) / gridDim.y - first;
    const element* a = A + blockIdx.x * n + first;
    const element* b = x + first;
    const u64 before = (u64)a % PACK_BYTES / sizeof(element), lead = before ? LANES - before : 0;
    const u64 start = lead < columns ? lead : columns, packs = (columns - start) / LANES;
    accumulator sums[1] = {};
    if (threadIdx.x < start) sums[0] += widen(a[threadIdx.x]) * widen(b[threadIdx.x]);
    const u64 behind = start + packs * LANES + threadIdx.x;
    if (behind < columns) sums[0] += widen(a[behind]) * widen(b[behind]);
    _Pragma("unroll 4") for (u64 v = threadIdx.x; v < packs; v += THREADS) {
        const Pack p = load(a + start, v);
        UNROLLED for (int k = 0; k < LANES; ++k) sums[0] += widen(p.at[k]) * widen(b[start + v * LANES + k]);
    }
    const accumulator sum = block_sums(sums);
    if (threadIdx.x == 0) put(y, partials, m, blockIdx.x, sum);
}

extern "C" __global__ void __launch_bounds__(THREADS)
gemv_finish(const accumulator* __restrict__ partials, element* __restrict__ y, u64 m, u64 splits)
{
    sum_splits(partials, y, m, splits);
}
