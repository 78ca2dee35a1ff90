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
    static void loop_rows_##S(size_t n, const T *restrict A, size_t row, const T *restrict x, T *restrict y) {        \
        /* eight rows of A at once: y is loaded and stored once for them */                                           \
        const T *restrict a = A, *restrict b = A + row, *restrict c = A + 2 * row, *restrict d = A + 3 * row;         \
        const T *restrict e = A + 4 * row, *restrict f = A + 5 * row, *restrict g = A + 6 * row, *restrict h = A + 7 * row;\
        _Pragma("omp simd") for (size_t j = 0; j < n; j++)                                                            \
            y[j] += x[0] * a[j] + x[1] * b[j] + x[2] * c[j] + x[3] * d[j]                                             \
                  + (x[4] * e[j] + x[5] * f[j] + x[6] * g[j] + x[7] * h[j]);                                          \
    }                                                                                                                 \
    static void loop_dots_##S(size_t n, const T *restrict A, const T *restrict x, T *restrict y) {                    \
        /* eight rows of A at once: x is loaded once for them */                                                      \
        const T *restrict a = A, *restrict b = A + n, *restrict c = A + 2 * n, *restrict d = A + 3 * n;               \
        const T *restrict e = A + 4 * n, *restrict f = A + 5 * n, *restrict g = A + 6 * n, *restrict h = A + 7 * n;   \
        T ra = 0, rb = 0, rc = 0, rd = 0, re = 0, rf = 0, rg = 0, rh = 0;                                             \
        _Pragma("omp simd reduction(+ : ra, rb, rc, rd, re, rf, rg, rh)") for (size_t j = 0; j < n; j++) {            \
            ra += a[j] * x[j], rb += b[j] * x[j], rc += c[j] * x[j], rd += d[j] * x[j];                               \
            re += e[j] * x[j], rf += f[j] * x[j], rg += g[j] * x[j], rh += h[j] * x[j];                               \
        }                                                                                                             \
        y[0] = ra, y[1] = rb, y[2] = rc, y[3] = rd, y[4] = re, y[5] = rf, y[6] = rg, y[7] = rh;                       \
    }                                                                                                                 \
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
            size_t i = begin;                                                                                         \
            for (; i + 8 <= begin + count; i += 8) loop_dots_##S(n, A + i * n, x, y + i);                             \
            for (; i < begin + count; i++) y[i] = loop_dot_##S(n, A + i * n, x);                                      \
        }                                                                                                              \
    }                                                                                                                  \
    void gemv_t_##S(size_t m, size_t n, const T *A, const T *x, T *y) {                                                \
        _Pragma("omp parallel") {                                                                                      \
            SLICE(n);                                                                                                  \
            loop_write_##S(count, y + begin, 0);                                                                       \
            size_t i = 0;                                                                                              \
            for (; i + 8 <= m; i += 8) loop_rows_##S(count, A + i * n + begin, n, x + i, y + begin);                   \
            for (; i < m; i++) loop_row_##S(count, A + i * n + begin, x[i], y + begin);                                \
        }                                                                                                              \
    }

/* The loops that only write their output, with vectors that are stored past the cache where the processor has a way. */
#if defined(__AVX512F__)
#include <immintrin.h>
#define VECTOR_BYTES 64
#define STREAM(p, v) _mm512_stream_si512((__m512i *)(p), (__m512i)(v))
#elif defined(__AVX__)
#include <immintrin.h>
#define VECTOR_BYTES 32
#define STREAM(p, v) _mm256_stream_si256((__m256i *)(p), (__m256i)(v))
#else
#define VECTOR_BYTES 16
#if defined(__x86_64__)
#include <immintrin.h>
#define STREAM(p, v) _mm_stream_si128((__m128i *)(p), (__m128i)(v))
#else
#define STREAM(p, v) (*(p) = (v))
#endif
#endif
#if defined(__x86_64__)
#define DRAIN() _mm_sfence()
#else
#define DRAIN() __sync_synchronize()
#endif

/* out[i] = ELEMENT, which names i; VECTOR is the same of vectors at i, loaded by V(array). */
#define V(x) (*(const vector *)((x) + i))
#define NT_LOOP(T, ELEMENT, VECTOR)                                                                                    \
    typedef T vector __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(T)), may_alias));                        \
    const size_t lanes = VECTOR_BYTES / sizeof(T);                                                                     \
    size_t i = begin, end = begin + count;                                                                             \
    for (; i < end && (size_t)(out + i) % VECTOR_BYTES; i++) out[i] = ELEMENT;                                         \
    for (; i + lanes <= end; i += lanes) STREAM((vector *)(out + i), VECTOR);                                          \
    for (; i < end; i++) out[i] = ELEMENT;                                                                             \
    DRAIN();

#define NT_KERNELS(T, S)                                                                                               \
    void copy_nt_##S(size_t n, const T *a, T *out) {                                                                   \
        _Pragma("omp parallel") { SLICE(n); NT_LOOP(T, a[i], V(a)) }                                                   \
    }                                                                                                                  \
    void scale_nt_##S(size_t n, const T *a, T *out, T s) {                                                             \
        _Pragma("omp parallel") { SLICE(n); NT_LOOP(T, s * a[i], s * V(a)) }                                           \
    }                                                                                                                  \
    void add_nt_##S(size_t n, const T *a, const T *b, T *out) {                                                        \
        _Pragma("omp parallel") { SLICE(n); NT_LOOP(T, a[i] + b[i], V(a) + V(b)) }                                     \
    }                                                                                                                  \
    void triad_nt_##S(size_t n, T *out, const T *b, const T *c, T s) {                                                 \
        _Pragma("omp parallel") { SLICE(n); NT_LOOP(T, b[i] + s * c[i], V(b) + s * V(c)) }                             \
    }                                                                                                                  \
    void write_nt_##S(size_t n, T *out, T s) {                                                                         \
        _Pragma("omp parallel") { SLICE(n); NT_LOOP(T, s, s - (vector){0}) }                                           \
    }

KERNELS(double, float64)
KERNELS(float, float32)
NT_KERNELS(double, float64)
NT_KERNELS(float, float32)
