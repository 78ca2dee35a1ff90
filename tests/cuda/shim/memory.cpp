// What do the threads of a CUDA kernel touch, access by access?
//
// The kernels are compiled with -fsanitize=thread, alignment and bounds, but linked with the hooks below, which see every
// load and store before it happens: they count bytes per array and end the launch with a sentence at the first access
// that is out of bounds, misaligned, racing, or of shared memory that no thread of the block has written.
#include <cstring>
#include <vector>

#include "host.h"

namespace {

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

std::vector<Memory> memories;  // the arrays and, within a launch, the shared memory

const char* name_of(const Memory& memory) { return memory.array ? memory.array->name : "shared memory"; }

// Whether an earlier touch is ordered before the current thread's next one.
bool ordered(const Touch& earlier)
{
    if (earlier.block < 0) return true;
    if (earlier.block != at.block_number) return false;
    return earlier.thread == at.thread || earlier.barriers < at.barriers;
}

void race(const Memory& memory, size_t offset, const Touch& other)
{
    fail("race: byte %zu of %s is touched, at least once to write it, by block %lld thread %d and by block %lld thread %d "
         "with no barrier between",
         offset, name_of(memory), (long long)other.block, other.thread, (long long)at.block_number, at.thread);
}

void read_byte(Memory& memory, size_t offset)
{
    Byte& byte = memory.bytes[offset];
    if (!ordered(byte.write)) race(memory, offset, byte.write);
    if (!memory.array && !byte.was_written) fail("byte %zu of shared memory is read before the block has written it", offset);
    if (byte.read.block != at.block_number) {
        byte.several_blocks |= byte.read.block >= 0;
        byte.several_threads = false;
    } else if (byte.read.barriers == at.barriers) byte.several_threads |= byte.read.thread != at.thread;
    else byte.several_threads = false;
    byte.read = {at.block_number, at.thread, at.barriers};
    if (memory.array && !byte.was_read) memory.array->read_once++;
    byte.was_read = true;
}

void write_byte(Memory& memory, size_t offset)
{
    Byte& byte = memory.bytes[offset];
    if (!ordered(byte.write)) race(memory, offset, byte.write);
    const bool own = byte.read.thread == at.thread && !byte.several_threads;
    const bool before = byte.read.block == at.block_number && (own || byte.read.barriers < at.barriers);
    if (byte.several_blocks || (byte.read.block >= 0 && !before)) race(memory, offset, byte.read);
    byte.write = {at.block_number, at.thread, at.barriers};
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

void access(const volatile void* pointer, size_t bytes, bool writes, bool atomic = false)
{
    const auto address = (uintptr_t)pointer;
    if (!at.inside || (address >= at.stack && address < at.stack_end)) return;
    Memory& memory = find(address);
    const auto offset = (long long)(address - memory.base);
    const char* verb = writes ? "write" : "read";
    if (offset < 0 || offset + bytes > memory.bytes.size())
        fail("out of bounds: %s of %zu bytes at byte %lld of %s, which has %zu", verb, bytes, offset, name_of(memory),
             memory.bytes.size());
    if (bytes <= 16 && address % bytes)
        fail("misaligned: %s of %zu bytes at byte %lld of %s", verb, bytes, offset, name_of(memory));
    if (memory.array) (writes ? memory.array->written : memory.array->read) += bytes;
    if (atomic) return;  // it is ordered with every other
    for (size_t i = 0; i < bytes; ++i) writes ? write_byte(memory, offset + i) : read_byte(memory, offset + i);
}

}  // namespace

void begin_launch(char* shared_begin, char* shared_end)
{
    for (Memory& memory : memories)
        for (Byte& byte : memory.bytes) byte.write = byte.read = {}, byte.several_threads = byte.several_blocks = false;
    memories.push_back({nullptr, (uintptr_t)shared_begin, std::vector<Byte>(shared_end - shared_begin)});
}

void begin_block()
{
    Memory& shared = memories.back();
    shared.bytes.assign(shared.bytes.size(), Byte{});
    memset((void*)shared.base, 0xCD, shared.bytes.size());
}

void end_launch() { memories.pop_back(); }

extern "C" {

// Names the arrays that the launches to come may touch, and forgets what earlier ones touched.
void host_begin(Array* arrays, int count)
{
    memories.clear();
    for (int i = 0; i < count; ++i) memories.push_back({&arrays[i], arrays[i].base, std::vector<Byte>(arrays[i].bytes)});
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

uint64_t __tsan_atomic64_load(const volatile uint64_t* p, int)
{
    access(p, sizeof *p, false, true);
    return *p;
}

void __tsan_atomic64_store(volatile uint64_t* p, uint64_t value, int)
{
    access(p, sizeof *p, true, true);
    *p = value;
}

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
    if (!at.inside) return;
    const Memory& memory = find(address);
    fail("misaligned: %s:%u needs an address that is a multiple of %d, not byte %lld of %s", mismatch->where.file,
         mismatch->where.line, 1 << mismatch->log_alignment, (long long)(address - memory.base), name_of(memory));
}

void __ubsan_handle_out_of_bounds(const void* data, uintptr_t index)
{
    const auto* where = static_cast<const SourceLocation*>(data);
    if (at.inside) fail("out of bounds: index %lld of the array at %s:%u", (long long)index, where->file, where->line);
}

}  // extern "C"
