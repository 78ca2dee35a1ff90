// What do execution (host.cpp) and observation (memory.cpp) know of each other?
#pragma once
#include <cstdint>

#include "cuda_host.h"

// Where the kernel stands: in which thread of which block, behind how many barriers of that block.
struct Position {
    int64_t block_number;
    Index3 block;
    int thread, barriers;
    uintptr_t stack, stack_end;  // the thread's own memory
    bool inside;                 // whether a thread is running at all
};
extern Position at;

// Ends the launch with a sentence, to which the block and the thread are added; does not return to the kernel.
[[noreturn]] void fail(const char* format, ...);

// A launch is ordered behind the one before it, and brings shared memory, which each block finds unwritten.
void begin_launch(char* shared_begin, char* shared_end);
void begin_block();
void end_launch();
