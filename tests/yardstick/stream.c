/* The yardstick: the ten kernels as compiled loops over OpenMP threads, one static slice per thread.
 *
 * Each loop lives in a function of its own with restrict pointers, so that the compiler may vectorize it freely and
 * turn copy into memcpy, which streams past the cache; copy_loop is the same loop kept from that. Sums are
 * `omp simd reduction`s: spelt out in more lanes they are slower on pages of 2 MiB.
 */
#define _GNU_SOURCE
#include <omp.h>
#include <sched.h>
#include <stddef.h>

#if defined(__GNUC__) && !defined(__clang__)
#define KEEP_LOOP __attribute__((optimize("no-tree-loop-distribute-patterns")))
#else
#define KEEP_LOOP
#endif

/* Pin OpenMP thread i to cpus[i] and return how many threads there are. */
int pin(int count, const int *cpus) {
    int threads = 0;
    omp_set_dynamic(0);
    omp_set_num_threads(count);
#pragma omp parallel
    {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(cpus[omp_get_thread_num()], &set);
        sched_setaffinity(0, sizeof set, &set);
#pragma omp single
        threads = omp_get_num_threads();
    }
    return threads;
}

/* The slice of this thread: begin and count elements of n, as equal as they can be. */
#define SLICE(n)                                                              \
    size_t threads = omp_get_num_threads(), id = omp_get_thread_num();        \
    size_t begin = (n) * id / threads, count = (n) * (id + 1) / threads - begin

#define KERNELS(T, S)                                                                                                  \
    static void loop_copy_##S(size_t n, const T *restrict a, T *restrict b) {                                          \
        for (size_t i = 0; i < n; i++) b[i] = a[i];                                                                    \
    }                                                                                                                  \
    KEEP_LOOP static void loop_copy_loop_##S(size_t n, const T *restrict a, T *restrict b) {                           \
        for (size_t i = 0; i < n; i++) b[i] = a[i];                                                                    \
    }                                                                                                                  \
    static void loop_scale_##S(size_t n, const T *restrict a, T *restrict b, T s) {                                    \
        for (size_t i = 0; i < n; i++) b[i] = s * a[i];                                                                \
    }                                                                                                                  \
    static void loop_add_##S(size_t n, const T *restrict a, const T *restrict b, T *restrict c) {                      \
        for (size_t i = 0; i < n; i++) c[i] = a[i] + b[i];                                                             \
    }                                                                                                                  \
    static void loop_triad_##S(size_t n, T *restrict a, const T *restrict b, const T *restrict c, T s) {               \
        for (size_t i = 0; i < n; i++) a[i] = b[i] + s * c[i];                                                         \
    }                                                                                                                  \
    static void loop_nstream_##S(size_t n, T *restrict a, const T *restrict b, const T *restrict c, T s) {             \
        for (size_t i = 0; i < n; i++) a[i] += b[i] + s * c[i];                                                        \
    }                                                                                                                  \
    static void loop_write_##S(size_t n, T *restrict a, T s) {                                                         \
        for (size_t i = 0; i < n; i++) a[i] = s;                                                                       \
    }                                                                                                                  \
    static T loop_dot_##S(size_t n, const T *restrict a, const T *restrict b) {                                        \
        T r = 0;                                                                                                       \
        _Pragma("omp simd reduction(+ : r)") for (size_t i = 0; i < n; i++) r += a[i] * b[i];                          \
        return r;                                                                                                      \
    }                                                                                                                  \
    static T loop_read_##S(size_t n, const T *restrict a) {                                                            \
        T r = 0;                                                                                                       \
        _Pragma("omp simd reduction(+ : r)") for (size_t i = 0; i < n; i++) r += a[i];                                 \
        return r;                                                                                                      \
    }                                                                                                                  \
    static void loop_rows_##S(size_t n, const T *restrict A, size_t row, const T *restrict x, T *restrict y) {         \
        /* four rows of A at once: y is loaded and stored once for them */                                             \
        const T *restrict p = A, *restrict q = A + row, *restrict r = A + 2 * row, *restrict s = A + 3 * row;          \
        _Pragma("omp simd") for (size_t j = 0; j < n; j++)                                                             \
            y[j] += x[0] * p[j] + x[1] * q[j] + x[2] * r[j] + x[3] * s[j];                                             \
    }                                                                                                                  \
    static void loop_row_##S(size_t n, const T *restrict A, T x, T *restrict y) {                                      \
        for (size_t j = 0; j < n; j++) y[j] += x * A[j];                                                               \
    }                                                                                                                  \
                                                                                                                       \
    void copy_##S(size_t n, const T *a, T *b) {                                                                        \
        _Pragma("omp parallel") { SLICE(n); loop_copy_##S(count, a + begin, b + begin); }                              \
    }                                                                                                                  \
    void copy_loop_##S(size_t n, const T *a, T *b) {                                                                   \
        _Pragma("omp parallel") { SLICE(n); loop_copy_loop_##S(count, a + begin, b + begin); }                         \
    }                                                                                                                  \
    void scale_##S(size_t n, const T *a, T *b, T s) {                                                                  \
        _Pragma("omp parallel") { SLICE(n); loop_scale_##S(count, a + begin, b + begin, s); }                          \
    }                                                                                                                  \
    void add_##S(size_t n, const T *a, const T *b, T *c) {                                                             \
        _Pragma("omp parallel") { SLICE(n); loop_add_##S(count, a + begin, b + begin, c + begin); }                    \
    }                                                                                                                  \
    void triad_##S(size_t n, T *a, const T *b, const T *c, T s) {                                                      \
        _Pragma("omp parallel") { SLICE(n); loop_triad_##S(count, a + begin, b + begin, c + begin, s); }               \
    }                                                                                                                  \
    void nstream_##S(size_t n, T *a, const T *b, const T *c, T s) {                                                    \
        _Pragma("omp parallel") { SLICE(n); loop_nstream_##S(count, a + begin, b + begin, c + begin, s); }             \
    }                                                                                                                  \
    void write_##S(size_t n, T *a, T s) {                                                                              \
        _Pragma("omp parallel") { SLICE(n); loop_write_##S(count, a + begin, s); }                                     \
    }                                                                                                                  \
    T dot_##S(size_t n, const T *a, const T *b) {                                                                      \
        T r = 0;                                                                                                       \
        _Pragma("omp parallel reduction(+ : r)") { SLICE(n); r = loop_dot_##S(count, a + begin, b + begin); }          \
        return r;                                                                                                      \
    }                                                                                                                  \
    T read_##S(size_t n, const T *a) {                                                                                 \
        T r = 0;                                                                                                       \
        _Pragma("omp parallel reduction(+ : r)") { SLICE(n); r = loop_read_##S(count, a + begin); }                    \
        return r;                                                                                                      \
    }                                                                                                                  \
    void gemv_##S(size_t m, size_t n, const T *A, const T *x, T *y) {                                                  \
        _Pragma("omp parallel") {                                                                                      \
            SLICE(m);                                                                                                  \
            for (size_t i = begin; i < begin + count; i++) y[i] = loop_dot_##S(n, A + i * n, x);                       \
        }                                                                                                              \
    }                                                                                                                  \
    void gemv_t_##S(size_t m, size_t n, const T *A, const T *x, T *y) {                                                \
        _Pragma("omp parallel") {                                                                                      \
            SLICE(n);                                                                                                  \
            loop_write_##S(count, y + begin, 0);                                                                       \
            size_t i = 0;                                                                                              \
            for (; i + 4 <= m; i += 4) loop_rows_##S(count, A + i * n + begin, n, x + i, y + begin);                   \
            for (; i < m; i++) loop_row_##S(count, A + i * n + begin, x[i], y + begin);                                \
        }                                                                                                              \
    }

KERNELS(double, float64)
KERNELS(float, float32)
