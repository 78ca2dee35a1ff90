// Accesses that use a part of what memory moves at once (places.py): reads in strides, and granules at random places. All
// threads work in one array. Blocks that read leave the sum of what they have read (sums.cu).
//
//   ITEM_BYTES  4 or 8: bytes of an element

typedef unsigned long long u64;
#if ITEM_BYTES == 4
typedef unsigned int item;
#else
typedef u64 item;
#endif

constexpr int PLACES_UNROLL = 8;  // loads of a thread that are under way at once

__device__ __forceinline__ u64 thread() { return blockIdx.x * (u64)SUM_THREADS + threadIdx.x; }
__device__ __forceinline__ u64 threads() { return gridDim.x * (u64)SUM_THREADS; }

// Returns the sum of the elements at(i) for i from `first` on in steps of `step`, below `end`.
template <class At> __device__ __forceinline__ u64 read_sum(const item* words, u64 first, u64 step, u64 end, At at)
{
    u64 sum = 0, i = first;
    _Pragma("unroll 1") for (; i + (PLACES_UNROLL - 1) * step < end; i += PLACES_UNROLL * step) {
        item x[PLACES_UNROLL];
        _Pragma("unroll") for (int u = 0; u < PLACES_UNROLL; ++u) x[u] = words[at(i + u * step)];
        _Pragma("unroll") for (int u = 0; u < PLACES_UNROLL; ++u) sum += x[u];
    }
    _Pragma("unroll 1") for (; i < end; i += step) sum += words[at(i)];
    return sum;
}

// Reads `end` elements of launches from `launch` on, each of 2^log_count elements, 2^log_step apart.
extern "C" __global__ void __launch_bounds__(SUM_THREADS, 4)
bandmark_strided(const item* __restrict__ words, u64* __restrict__ partials, u64 launch, u64 log_count, u64 log_step,
                 u64 end)
{
    const auto at = [=](u64 i) {
        const u64 k = 8 * (launch + (i >> log_count));
        const u64 first = (k + (k >> log_step)) & ((1ull << log_step) - 1);
        return first + ((i & ((1ull << log_count) - 1)) << log_step);
    };
    leave_sum(partials, read_sum(words, thread(), threads(), end, at));
}

// The generator's step, state -> state * factor + term, and any number of its steps in one.
struct Steps {
    u64 factor, term;

    __device__ __forceinline__ u64 from(u64 state) const { return state * factor + term; }
    __device__ __forceinline__ Steps behind(Steps first) const { return {first.factor * factor, from(first.term)}; }
    __device__ __forceinline__ Steps times(u64 count) const
    {
        Steps all{1, 0};
        for (Steps power = *this; count > 0; count >>= 1, power = power.behind(power))
            if (count & 1) all = power.behind(all);
        return all;
    }
};

// The elements of the granules, 2^log_width each, that a thread visits: threads side by side share a granule.
struct Visits {
    Steps jump;
    u64 visit, step, state, lane;

    __device__ __forceinline__ Visits(Steps one, u64 start, u64 log_width)
        : jump(one.times(threads() >> log_width)), visit(thread() >> log_width), step(threads() >> log_width),
          state(one.times(visit + 1).from(start)), lane(thread() & ((1ull << log_width) - 1))
    {
    }

    // Returns the element of the present visit and goes on to the next.
    __device__ __forceinline__ u64 next(u64 mask, u64 shift, u64 log_width)
    {
        const u64 low = state & mask;
        state = jump.from(state);
        return ((low ^ low >> shift) << log_width) + lane;
    }
};

extern "C" __global__ void __launch_bounds__(SUM_THREADS, 4)
bandmark_gather(const item* __restrict__ words, u64* __restrict__ partials, u64 state, u64 visits, u64 mask, u64 shift,
                u64 log_width, u64 factor, u64 term)
{
    Visits own({factor, term}, state, log_width);
    leave_sum(partials, read_sum(words, own.visit, own.step, visits, [&](u64) { return own.next(mask, shift, log_width); }));
}

// Stores the number of the visit, which `number` precedes, in each element of a granule.
extern "C" __global__ void __launch_bounds__(SUM_THREADS, 4)
bandmark_scatter(item* __restrict__ words, u64 number, u64 state, u64 visits, u64 mask, u64 shift, u64 log_width,
                 u64 factor, u64 term)
{
    Visits own({factor, term}, state, log_width);
    for (u64 i = own.visit; i < visits; i += own.step) words[own.next(mask, shift, log_width)] = (item)(number + i + 1);
}
