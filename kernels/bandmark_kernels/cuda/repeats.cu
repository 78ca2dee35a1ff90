// repeats: does an array repeat itself? Each block writes to differs[block] how many of its items have other bits than the
// item `period` before. Where none has, every period has the bits of the first. It stands behind sums.cu.
//
//   ITEM_BYTES  2, 4 or 8: bytes of an item

template <int BYTES> struct Item;
template <> struct Item<2> { typedef unsigned short type; };
template <> struct Item<4> { typedef unsigned int type; };
template <> struct Item<8> { typedef unsigned long long type; };
typedef Item<ITEM_BYTES>::type item;

extern "C" __global__ void __launch_bounds__(SUM_THREADS)
bandmark_repeats(const item* __restrict__ a, unsigned long long* __restrict__ differs, unsigned long long period,
                 unsigned long long n)
{
    unsigned long long count = 0;
    for (unsigned long long i = period + blockIdx.x * 256ull + threadIdx.x; i < n; i += gridDim.x * 256ull)
        count += a[i] != a[i - period];
    leave_sum(differs, count);
}
