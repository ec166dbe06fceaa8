/* fuzz.h: what a fuzz target fills in.  libFuzzer calls it with what it invents, replay.c with the files of
 * the corpus.
 *
 * The input is foreign: whatever it is, the target must return without a crash, a leak, or much time or
 * memory.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
