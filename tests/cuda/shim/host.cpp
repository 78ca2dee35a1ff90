// What does a CUDA kernel do, thread by thread, access by access?
//
// Executes kernels that g++ has compiled behind cuda_host.h: blocks one after the other, the threads of a block as
// fibers that hand over at barriers and shuffles. The kernels are compiled with -fsanitize=thread, alignment and bounds, but
// linked with the hooks below, which see every load and store before it happens: they count bytes per array and end
// the launch with a sentence at the first access that is out of bounds, misaligned, racing, or of shared memory that
// no thread of the block has written.
#include <ucontext.h>

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "cuda_host.h"

namespace {

constexpr int WARP = 32, MAX_THREADS = 1024;
constexpr size_t STACK_BYTES = 64 * 1024;

// An array of the caller's; the counts grow from launch to launch.
struct Array {
    const char* name;
    uintptr_t base;
    uint64_t bytes;
    uint64_t read, written;            // in total
    uint64_t read_once, written_once;  // each byte once
};

// When and by whom a byte was touched, to see races: block and thread, and how many barriers the block had passed.
struct Touch {
    int64_t block = -1;
    int thread = 0, barriers = 0;
};

struct Byte {
    Touch write, read;
    bool several_threads = false;  // read in that block since its last barrier
    bool several_blocks = false;
    bool was_read = false, was_written = false;  // since begin()
};

struct Memory {
    Array* array;  // null for shared memory
    uintptr_t base;
    std::vector<Byte> bytes;
};

struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    int thread;
    bool done;
};

struct Warp {
    unsigned long long value[WARP];
    unsigned arrived, rounds;
};

std::vector<Memory> memories;  // the arrays, then the shared memory
std::vector<Fiber> fibers(MAX_THREADS);
std::vector<Warp> warps;
ucontext_t scheduler;
Fiber* current;
Index3 grid, block_size, block;
int64_t block_number;
int threads, running, waiting, barriers;
bool progress;
char failure[512];

void leave() { swapcontext(&current->context, &scheduler); }

// Ends the launch; does not return to the kernel.
[[noreturn]] void fail(const char* format, ...)
{
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(failure, sizeof failure, format, args);
    va_end(args);
    snprintf(failure + n, sizeof failure - n, " (block %u,%u,%u thread %d)", block.x, block.y, block.z, current->thread);
    for (;;) leave();
}

const char* name_of(const Memory& memory) { return memory.array ? memory.array->name : "shared memory"; }

// Whether an earlier touch is ordered before the current thread's next one.
bool ordered(const Touch& earlier)
{
    if (earlier.block < 0) return true;
    if (earlier.block != block_number) return false;
    return earlier.thread == current->thread || earlier.barriers < barriers;
}

void race(const Memory& memory, size_t offset, const Touch& other)
{
    fail("race: byte %zu of %s is touched, at least once to write it, by block %lld thread %d and by block %lld thread %d "
         "with no barrier between",
         offset, name_of(memory), (long long)other.block, other.thread, (long long)block_number, current->thread);
}

void read_byte(Memory& memory, size_t offset)
{
    Byte& byte = memory.bytes[offset];
    if (!ordered(byte.write)) race(memory, offset, byte.write);
    if (!memory.array && !byte.was_written) fail("byte %zu of shared memory is read before the block has written it", offset);
    if (byte.read.block != block_number) {
        byte.several_blocks |= byte.read.block >= 0;
        byte.several_threads = false;
    } else if (byte.read.barriers == barriers) byte.several_threads |= byte.read.thread != current->thread;
    else byte.several_threads = false;
    byte.read = {block_number, current->thread, barriers};
    if (memory.array && !byte.was_read) memory.array->read_once++;
    byte.was_read = true;
}

void write_byte(Memory& memory, size_t offset)
{
    Byte& byte = memory.bytes[offset];
    if (!ordered(byte.write)) race(memory, offset, byte.write);
    const bool own = byte.read.thread == current->thread && !byte.several_threads;
    const bool before = byte.read.block == block_number && (own || byte.read.barriers < barriers);
    if (byte.several_blocks || (byte.read.block >= 0 && !before)) race(memory, offset, byte.read);
    byte.write = {block_number, current->thread, barriers};
    if (memory.array && !byte.was_written) memory.array->written_once++;
    byte.was_written = true;
}

// The memory that holds an address, or else the nearest one below or above it.
Memory& find(uintptr_t address)
{
    Memory* nearest = nullptr;
    uintptr_t least = UINTPTR_MAX;
    for (Memory& memory : memories) {
        const uintptr_t end = memory.base + memory.bytes.size();
        const uintptr_t distance = address < memory.base ? memory.base - address : address < end ? 0 : address - end + 1;
        if (distance < least) least = distance, nearest = &memory;
    }
    return *nearest;
}

void access(void* pointer, size_t bytes, bool writes)
{
    if (!current) return;
    const uintptr_t address = (uintptr_t)pointer, stack = (uintptr_t)current->stack.get();
    if (address >= stack && address < stack + STACK_BYTES) return;
    Memory& memory = find(address);
    const auto offset = (long long)(address - memory.base);
    const char* verb = writes ? "write" : "read";
    if (offset < 0 || offset + bytes > memory.bytes.size())
        fail("out of bounds: %s of %zu bytes at byte %lld of %s, which has %zu", verb, bytes, offset, name_of(memory),
             memory.bytes.size());
    if (bytes <= 16 && address % bytes)
        fail("misaligned: %s of %zu bytes at byte %lld of %s", verb, bytes, offset, name_of(memory));
    if (memory.array) (writes ? memory.array->written : memory.array->read) += bytes;
    for (size_t i = 0; i < bytes; ++i) writes ? write_byte(memory, offset + i) : read_byte(memory, offset + i);
}

// ---- execution

void run_thread(void (*kernel)(void**), void** args)
{
    kernel(args);
    current->done = true;
    --running;
    progress = true;
    if (waiting) fail("barrier: a thread has left the kernel while %d wait at a barrier", waiting);
    leave();
}

void start(Fiber& fiber, int thread, void (*kernel)(void**), void** args)
{
    if (!fiber.stack) fiber.stack.reset(new char[STACK_BYTES]);
    fiber.thread = thread;
    fiber.done = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = STACK_BYTES;
    fiber.context.uc_link = nullptr;
    // makecontext passes ints alone
    const uint64_t k = (uint64_t)kernel, a = (uint64_t)args;
    makecontext(&fiber.context, (void (*)())(void (*)(unsigned, unsigned, unsigned, unsigned))[](
                                    unsigned k0, unsigned k1, unsigned a0, unsigned a1) {
        run_thread((void (*)(void**))((uint64_t)k1 << 32 | k0), (void**)((uint64_t)a1 << 32 | a0));
    }, 4, (unsigned)k, (unsigned)(k >> 32), (unsigned)a, (unsigned)(a >> 32));
}

void run_block(void (*kernel)(void**), void** args, bool backwards)
{
    Memory& shared = memories.back();
    shared.bytes.assign(shared.bytes.size(), Byte{});
    memset((void*)shared.base, 0xCD, shared.bytes.size());
    warps.assign((threads + WARP - 1) / WARP, Warp{});
    running = threads;
    waiting = barriers = 0;
    for (int t = 0; t < threads; ++t) start(fibers[t], t, kernel, args);
    while (running && !failure[0]) {
        progress = false;
        for (int k = 0; k < threads && !failure[0]; ++k) {
            current = &fibers[backwards ? threads - 1 - k : k];
            if (!current->done) swapcontext(&scheduler, &current->context);
        }
        if (!progress && !failure[0])
            snprintf(failure, sizeof failure, "barrier: deadlock, %d of %d threads wait at a barrier, %d at a shuffle (block %u,%u,%u)",
                     waiting, threads, running - waiting, block.x, block.y, block.z);
    }
    current = nullptr;
}

}  // namespace

extern "C" {

Index3 host_thread_index()
{
    const unsigned t = current->thread;
    return {t % block_size.x, t / block_size.x % block_size.y, t / block_size.x / block_size.y};
}
Index3 host_block_index() { return block; }
Index3 host_grid_size() { return grid; }
Index3 host_block_size() { return block_size; }
int host_lane() { return current->thread % WARP; }

void __syncthreads()
{
    const int passed = barriers;
    if (running < threads) fail("barrier: a thread waits at a barrier that %d threads can no longer reach", threads - running);
    if (++waiting == running) {
        waiting = 0;
        ++barriers;
        progress = true;
        return;
    }
    while (barriers == passed) leave();
}

// All lanes of the mask meet twice: to leave their values, and to have read them.
unsigned long long host_shuffle(unsigned mask, unsigned long long bits, int from)
{
    Warp& warp = warps[current->thread / WARP];
    const int lane = host_lane();
    if (!(mask >> lane & 1)) fail("shuffle: lane %d is not in its own mask %#x", lane, mask);
    if (!(mask >> from & 1)) fail("shuffle: lane %d reads lane %d, which is not in mask %#x", lane, from, mask);
    warp.value[lane] = bits;
    for (int meeting = 0; meeting < 2; ++meeting) {
        if (meeting == 1) bits = warp.value[from];
        const unsigned round = warp.rounds;
        warp.arrived |= 1u << lane;
        if ((warp.arrived & mask) == mask) {
            warp.arrived &= ~mask;
            ++warp.rounds;
            progress = true;
        } else
            while (warp.rounds == round) leave();
    }
    return bits;
}

// Names the arrays that the launches to come may touch, and forgets what earlier ones touched.
void host_begin(Array* arrays, int count)
{
    memories.clear();
    for (int i = 0; i < count; ++i) memories.push_back({&arrays[i], arrays[i].base, std::vector<Byte>(arrays[i].bytes)});
}

// Runs one launch. Returns null, or what went wrong.
const char* host_launch(void (*kernel)(void**), void** args, const unsigned* grid_size, const unsigned* block_dims,
                        char* shared_begin, char* shared_end, int backwards)
{
    grid = {grid_size[0], grid_size[1], grid_size[2]};
    block_size = {block_dims[0], block_dims[1], block_dims[2]};
    threads = (int)(block_size.x * block_size.y * block_size.z);
    failure[0] = 0;
    if (threads < 1 || threads > MAX_THREADS) return "a block has 1 to 1024 threads";
    for (Memory& memory : memories)  // a launch is ordered behind the one before it
        for (Byte& byte : memory.bytes) byte.write = byte.read = {}, byte.several_threads = byte.several_blocks = false;
    memories.push_back({nullptr, (uintptr_t)shared_begin, std::vector<Byte>(shared_end - shared_begin)});
    block_number = 0;
    for (block.z = 0; block.z < grid.z; ++block.z)
        for (block.y = 0; block.y < grid.y; ++block.y)
            for (block.x = 0; block.x < grid.x && !failure[0]; ++block.x, ++block_number) run_block(kernel, args, backwards);
    memories.pop_back();
    return failure[0] ? failure : nullptr;
}

// ---- the compiler's hooks

#define HOOKS(N)                                                     \
    void __tsan_read##N(void* p) { access(p, N, false); }            \
    void __tsan_write##N(void* p) { access(p, N, true); }            \
    void __tsan_unaligned_read##N(void* p) { access(p, N, false); }  \
    void __tsan_unaligned_write##N(void* p) { access(p, N, true); }
HOOKS(1) HOOKS(2) HOOKS(4) HOOKS(8) HOOKS(16)
void __tsan_read_range(void* p, size_t bytes) { access(p, bytes, false); }
void __tsan_write_range(void* p, size_t bytes) { access(p, bytes, true); }
void __tsan_init() {}

struct SourceLocation {
    const char* file;
    unsigned line, column;
};

void __ubsan_handle_type_mismatch_v1(const void* data, uintptr_t address)
{
    struct Mismatch {
        SourceLocation where;
        const void* type;
        unsigned char log_alignment, kind;
    };
    const auto* mismatch = static_cast<const Mismatch*>(data);
    if (!current) return;
    const Memory& memory = find(address);
    fail("misaligned: %s:%u needs an address that is a multiple of %d, not byte %lld of %s", mismatch->where.file,
         mismatch->where.line, 1 << mismatch->log_alignment, (long long)(address - memory.base), name_of(memory));
}

void __ubsan_handle_out_of_bounds(const void* data, uintptr_t index)
{
    const auto* where = static_cast<const SourceLocation*>(data);
    if (current) fail("out of bounds: index %lld of the array at %s:%u", (long long)index, where->file, where->line);
}

}  // extern "C"
