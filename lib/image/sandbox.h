/*
 * sandbox.h: what a decoding worker gives up before it sees the first stranger's byte. Called once, in a
 * fresh child.
 */
#ifndef WINNOW_IMAGE_SANDBOX_H
#define WINNOW_IMAGE_SANDBOX_H

#include "base/error.h"

/*
 * Closes every descriptor but channel_fd, resets signals, limits address space to what is mapped now plus
 * IMAGE_WORKER_MEMORY_BYTES, forbids new files, processes and core dumps, and installs the system call
 * filter: read and write on channel_fd, anonymous memory, a timer, and exit. Anything else ends the process
 * with SIGSYS. -1: the process must not go on.
 */
int sandbox_enter(int channel_fd, struct error *err);

/* True when this kernel can do it: asked once before the first fork, so that the failure has one clear
 * message. */
int sandbox_check(struct error *err);

#endif
