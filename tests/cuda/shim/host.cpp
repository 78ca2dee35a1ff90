// What does a CUDA kernel do, thread by thread?
//
// Executes kernels that g++ has compiled behind cuda_host.h: blocks one after the other, the threads of a block as
// fibers that hand over at barriers and shuffles. memory.cpp watches what they touch.
#include <setjmp.h>
#include <ucontext.h>

#include <cstdarg>
#include <cstdio>
#include <memory>
#include <vector>

#include "host.h"

Position at;

namespace {

constexpr int WARP = 32, MAX_THREADS = 1024;
constexpr size_t STACK_BYTES = 64 * 1024;

// A fiber runs one thread after the other, for starting one costs a system call. Once it runs, control passes by
// longjmp, which costs none.
struct Fiber {
    jmp_buf resume;
    std::unique_ptr<char[]> stack;
    int thread;
    bool started, done;
};

struct Warp {
    unsigned long long value[WARP];
    unsigned arrived, rounds;
};

std::vector<Fiber> fibers(MAX_THREADS);
std::vector<Warp> warps;
jmp_buf scheduler;
Fiber* current;
void (*kernel)(void**);
void** arguments;
Index3 grid, block_size;
int threads, running, waiting;
bool progress;
char failure[512];

void leave()
{
    if (!_setjmp(current->resume)) _longjmp(scheduler, 1);
}

}  // namespace

void fail(const char* format, ...)
{
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(failure, sizeof failure, format, args);
    va_end(args);
    snprintf(failure + n, sizeof failure - n, " (block %u,%u,%u thread %d)", at.block.x, at.block.y, at.block.z, at.thread);
    for (;;) leave();
}

namespace {

void run_threads()
{
    for (;;) {
        kernel(arguments);
        current->done = true;
        --running;
        progress = true;
        if (waiting) fail("barrier: a thread has left the kernel while %d wait at a barrier", waiting);
        leave();
    }
}

void start(Fiber& fiber)
{
    fiber.started = true;
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = fiber.stack.get();
    context.uc_stack.ss_size = STACK_BYTES;
    context.uc_link = nullptr;
    makecontext(&context, run_threads, 0);
    setcontext(&context);
}

void enter(Fiber& fiber)
{
    if (fiber.done) return;
    if (!fiber.stack) fiber.stack.reset(new char[STACK_BYTES]);
    current = &fiber;
    at.thread = fiber.thread;
    at.stack = (uintptr_t)fiber.stack.get();
    at.stack_end = at.stack + STACK_BYTES;
    at.inside = true;
    if (_setjmp(scheduler)) return;
    if (fiber.started) _longjmp(fiber.resume, 1);
    start(fiber);
}

void run_block(bool backwards)
{
    begin_block();
    warps.assign((threads + WARP - 1) / WARP, Warp{});
    running = threads;
    waiting = at.barriers = 0;
    for (int t = 0; t < threads; ++t) fibers[t].thread = t, fibers[t].done = false;
    while (running && !failure[0]) {
        progress = false;
        for (int k = 0; k < threads && !failure[0]; ++k) {
            enter(fibers[backwards ? threads - 1 - k : k]);
        }
        if (!progress && !failure[0])
            snprintf(failure, sizeof failure, "barrier: deadlock, %d of %d threads wait at a barrier, %d at a shuffle (block %u,%u,%u)",
                     waiting, threads, running - waiting, at.block.x, at.block.y, at.block.z);
    }
    at.inside = false;
    // After a failure threads are stuck within the kernel.
    if (failure[0])
        for (Fiber& fiber : fibers) fiber.started = false;
}

}  // namespace

extern "C" {

Index3 host_thread_index()
{
    const unsigned t = at.thread;
    return {t % block_size.x, t / block_size.x % block_size.y, t / block_size.x / block_size.y};
}
Index3 host_block_index() { return at.block; }
Index3 host_grid_size() { return grid; }
Index3 host_block_size() { return block_size; }
int host_lane() { return at.thread % WARP; }

void __syncthreads()
{
    const int passed = at.barriers;
    if (running < threads) fail("barrier: a thread waits at a barrier that %d threads can no longer reach", threads - running);
    if (++waiting == running) {
        waiting = 0;
        ++at.barriers;
        progress = true;
        return;
    }
    while (at.barriers == passed) leave();
}

// All lanes of the mask meet twice: to leave their values, and to have read them.
unsigned long long host_shuffle(unsigned mask, unsigned long long bits, int from)
{
    Warp& warp = warps[at.thread / WARP];
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

// Runs one launch. Returns null, or what went wrong.
const char* host_launch(void (*entry)(void**), void** args, const unsigned* grid_size, const unsigned* block_dims,
                        char* shared_begin, char* shared_end, int backwards)
{
    grid = {grid_size[0], grid_size[1], grid_size[2]};
    block_size = {block_dims[0], block_dims[1], block_dims[2]};
    threads = (int)(block_size.x * block_size.y * block_size.z);
    failure[0] = 0;
    if (threads < 1 || threads > MAX_THREADS) return "a block has 1 to 1024 threads";
    kernel = entry;
    arguments = args;
    begin_launch(shared_begin, shared_end);
    at.block_number = 0;
    Index3& block = at.block;
    for (block.z = 0; block.z < grid.z; ++block.z)
        for (block.y = 0; block.y < grid.y; ++block.y)
            for (block.x = 0; block.x < grid.x && !failure[0]; ++block.x, ++at.block_number) run_block(backwards);
    end_launch();
    return failure[0] ? failure : nullptr;
}

}  // extern "C"
