// gemv_t: y[j] = sum over i of A[i,j] * x[i], A row-major with m rows of n columns.
//
// A block takes a strip of columns, one pack a thread, and one of gridDim.y ranges of rows. Its GROUPS groups of
// threads take turns of UNROLL rows and add up through shared memory. With several ranges the sums go to the
// workspace, and bandmark_gemv_t_finish adds those up.

constexpr int STRIP = THREADS / GROUPS;  // threads side by side

// Adds R rows' products to the sums of WIDTH columns that start at column j.
template <int WIDTH, int R>
__device__ __forceinline__ void add_products(const element* A, const element* x, u64 n, u64 i, u64 j, accumulator (&sums)[WIDTH])
{
    if constexpr (WIDTH == LANES) {
        Pack a[R];
        UNROLLED for (int r = 0; r < R; ++r) a[r] = load(A, (i + r) * (n / LANES) + j / LANES);
        UNROLLED for (int r = 0; r < R; ++r)
            UNROLLED for (int k = 0; k < WIDTH; ++k) sums[k] += widen(a[r].at[k]) * widen(x[i + r]);
    } else {
        element a[R];
        UNROLLED for (int r = 0; r < R; ++r) a[r] = A[(i + r) * n + j];
        UNROLLED for (int r = 0; r < R; ++r) sums[0] += widen(a[r]) * widen(x[i + r]);
    }
}

template <int WIDTH, int R>
__device__ __forceinline__ void columns(
    const element* A, const element* x, element* y, accumulator* partials, u64 m, u64 n)
{
    __shared__ accumulator groups[GROUPS][STRIP * WIDTH];
    const int group = threadIdx.x / STRIP, thread = threadIdx.x % STRIP;
    const u64 first = (u64)blockIdx.x * STRIP * WIDTH, j = first + thread * WIDTH;
    const u64 end = m * (blockIdx.y + 1) / gridDim.y;
    accumulator sums[WIDTH] = {};
    if (j < n) {
        u64 i = m * blockIdx.y / gridDim.y + group * R;
        ROLLED for (; i + R <= end; i += GROUPS * R) add_products<WIDTH, R>(A, x, n, i, j, sums);
        ROLLED for (; i < end; ++i) add_products<WIDTH, 1>(A, x, n, i, j, sums);
    }
    UNROLLED for (int k = 0; k < WIDTH; ++k) groups[group][thread * WIDTH + k] = sums[k];
    __syncthreads();
    for (int c = threadIdx.x * WORD; c < STRIP * WIDTH; c += THREADS * WORD)
        UNROLLED for (int k = c; k < c + WORD; ++k) {
            if (first + k >= n) return;
            accumulator sum = 0;
            UNROLLED for (int g = 0; g < GROUPS; ++g) sum += groups[g][k];
            put(y, partials, n, first + k, sum);
        }
}

// Rows that start on a pack boundary: n is a multiple of LANES.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM)
bandmark_gemv_t(const element* __restrict__ A, const element* __restrict__ x, element* __restrict__ y,
                accumulator* __restrict__ partials, u64 m, u64 n)
{
    columns<LANES, UNROLL>(A, x, y, partials, m, n);
}

// Any n: one column a thread.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM)
bandmark_gemv_t_ragged(const element* __restrict__ A, const element* __restrict__ x, element* __restrict__ y,
                       accumulator* __restrict__ partials, u64 m, u64 n)
{
    columns<1, 64 / sizeof(element)>(A, x, y, partials, m, n);
}

extern "C" __global__ void __launch_bounds__(THREADS)
bandmark_gemv_t_finish(const accumulator* __restrict__ partials, element* __restrict__ y, u64 n, u64 splits)
{
    sum_splits(partials, y, n, splits);
}
