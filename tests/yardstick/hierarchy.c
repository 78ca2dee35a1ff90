/* The yardstick of the memory hierarchy: the chase and the repeated passes of bandmark_kernels.memory as compiled code. */
#include <stddef.h>
#include <stdint.h>

typedef double lanes __attribute__((vector_size(64), aligned(8), may_alias));

uint64_t chase(uint64_t address, int64_t hops) {
    void **p = (void **)address;
#define HOP p = (void **)*p;
    for (int64_t k = 0; k < hops / 16; k++) {
        HOP HOP HOP HOP HOP HOP HOP HOP HOP HOP HOP HOP HOP HOP HOP HOP
    }
    return (uint64_t)p;
}

#define KEEP __asm__ volatile("" ::: "memory")

/* Eight sums of eight lanes: with fewer the latency of additions bounds a first-level cache. */
double read_passes(double *a, ptrdiff_t n, ptrdiff_t passes) {
    double total = 0;
    for (ptrdiff_t k = 0; k < passes; k++) {
        lanes sums[8] = {{0}};
        double part = 0;
        ptrdiff_t i = 0;
        a[n - 1] = k + 1;
        KEEP;
        for (; i + 64 <= n; i += 64)
            for (int j = 0; j < 8; j++) sums[j] += *(const lanes *)(a + i + 8 * j);
        for (; i < n; i++) part += a[i];
        for (int j = 0; j < 8; j++)
            for (int l = 0; l < 8; l++) part += sums[j][l];
        KEEP;
        total += part;
    }
    return total;
}

__attribute__((optimize("no-tree-loop-distribute-patterns")))
double copy_passes(double *restrict a, double *restrict b, ptrdiff_t n, ptrdiff_t passes) {
    double total = 0;
    for (ptrdiff_t k = 0; k < passes; k++) {
        b[n - 1] = k + 1;
        KEEP;
        for (ptrdiff_t i = 0; i < n; i++) a[i] = b[i];
        KEEP;
        total += a[n - 1];
    }
    return total;
}

double triad_passes(double *restrict a, double *restrict b, double *restrict c, ptrdiff_t n, ptrdiff_t passes) {
    double total = 0;
    for (ptrdiff_t k = 0; k < passes; k++) {
        c[n - 1] = k + 1;
        KEEP;
        for (ptrdiff_t i = 0; i < n; i++) a[i] = b[i] + 0.5 * c[i];
        KEEP;
        total += a[n - 1];
    }
    return total;
}
