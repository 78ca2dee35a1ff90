// What does a .cu file need in order to be compiled by g++? CUDA's keywords, its built-in variables and the few
// intrinsics that the kernels use. It stands in front of the unmodified source (g++ -include) and includes nothing, so
// that a kernel may be named `read` or `write`. host.cpp executes what comes out.
#pragma once

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(...)

#define NOT_TRACED __attribute__((no_sanitize("thread", "alignment", "bounds"), noinline))

struct Index3 {
    unsigned x, y, z;
};

extern "C" {
Index3 host_thread_index();
Index3 host_block_index();
Index3 host_grid_size();
Index3 host_block_size();
void __syncthreads();
unsigned long long host_shuffle(unsigned mask, unsigned long long bits, int from);
int host_lane();
}

#define threadIdx host_thread_index()
#define blockIdx host_block_index()
#define gridDim host_grid_size()
#define blockDim host_block_size()

// The value of another lane, by its number within the group of `width` lanes.
template <class T> NOT_TRACED T __shfl_sync(unsigned mask, T value, int from, int width = 32)
{
    unsigned long long bits = 0;
    __builtin_memcpy(&bits, &value, sizeof value);
    bits = host_shuffle(mask, bits, host_lane() / width * width + from % width);
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

template <class T> NOT_TRACED T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32)
{
    return __shfl_sync(mask, value, (host_lane() ^ bits) % width, width);
}

NOT_TRACED inline void __syncwarp() { host_shuffle(0xffffffffu, 0, host_lane()); }

// The value of the lane `delta` above, or the lane's own where that would leave its group of `width` lanes.
template <class T> NOT_TRACED T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32)
{
    const int lane = host_lane(), from = lane % width + (int)delta < width ? lane + (int)delta : lane;
    unsigned long long bits = 0;
    __builtin_memcpy(&bits, &value, sizeof value);
    bits = host_shuffle(mask, bits, from);
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

NOT_TRACED inline unsigned __float_as_uint(float value)
{
    unsigned bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits;
}

NOT_TRACED inline float __uint_as_float(unsigned bits)
{
    float value;
    __builtin_memcpy(&value, &bits, sizeof value);
    return value;
}

#define sqrtf __builtin_sqrtf

// A kernel as host.cpp calls it: the arguments behind pointers, and a letter for the type of each.
template <class T> struct Letter;
template <class T> struct Letter<T*> { static constexpr char value = 'p'; };
template <> struct Letter<double> { static constexpr char value = 'd'; };
template <> struct Letter<float> { static constexpr char value = 'f'; };
template <> struct Letter<unsigned long long> { static constexpr char value = 'u'; };

template <int... I> struct Positions {};

template <class... Args> struct Entry {
    static constexpr char letters[] = {Letter<Args>::value..., 0};

    template <int... I> NOT_TRACED static void call(void (*kernel)(Args...), void** args, Positions<I...>)
    {
        kernel(*static_cast<Args*>(args[I])...);
    }
};

template <class... Args> constexpr Entry<Args...> entry_of(void (*)(Args...)) { return {}; }
template <class... Args> constexpr Positions<__integer_pack(sizeof...(Args))...> positions_of(void (*)(Args...))
{
    return {};
}

#define EXPORTED extern "C" __attribute__((visibility("default")))

// Makes a kernel reachable from outside: call_NAME and letters_NAME.
#define EXPORT_KERNEL(NAME)                                                                                   \
    EXPORTED NOT_TRACED void call_##NAME(void** args) { entry_of(NAME).call(NAME, args, positions_of(NAME)); } \
    EXPORTED NOT_TRACED const char* letters_##NAME() { return decltype(entry_of(NAME))::letters; }

// Where the shared memory lies: the kernels' only variables with static storage.
#define EXPORT_SHARED_MEMORY                                        \
    extern "C" __attribute__((visibility("hidden"))) char __bss_start, _end; \
    EXPORTED NOT_TRACED char* shared_begin() { return &__bss_start; } \
    EXPORTED NOT_TRACED char* shared_end() { return &_end; }
