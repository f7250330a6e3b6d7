/* sandbox.h: restricts a decoding worker before it reads the first byte of untrusted data. It is called once,
 * in a new child process. */
#ifndef WINNOW_IMAGE_SANDBOX_H
#define WINNOW_IMAGE_SANDBOX_H

#include "base/error.h"

/* Exit status of a process in the sandbox when a decoder aborted because there was no memory. */
#define SANDBOX_EXIT_MEMORY 77

/*
 * Closes every descriptor except channel_fd, resets the signals, limits the address space to what is mapped
 * now plus IMAGE_WORKER_MEMORY_BYTES, forbids new files, processes and core dumps, and installs a filter for
 * system calls. The filter allows reading and writing channel_fd, anonymous memory, a timer, signals to
 * itself, and exit. Any other call ends the process with SIGSYS. SIGABRT and SIGILL end the process with
 * SANDBOX_EXIT_MEMORY when errno is ENOMEM, and otherwise with 128 plus the signal's number. Returns 0, or
 * -1: the process must then not continue.
 */
int sandbox_enter(int channel_fd, struct error *err);

/* Returns 0 when this kernel supports the sandbox, or -1 with err set. It is called once before the first
 * fork, so that a failure gives one clear message. */
int sandbox_check(struct error *err);

#endif
