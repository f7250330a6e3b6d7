/*
 * engine_avx2.c: a library to preload (LD_PRELOAD) that hides AVX-512 from a program, for peers that have no
 * setting for it, so that they can be measured as on a processor without it. The processor is told to fault
 * at CPUID (arch_prctl, where it and the kernel can: "cpuid_fault" in /proc/cpuinfo), and the handler gives
 * the answer with the bits of AVX-512 and AMX cleared. What the C library chose before it was loaded stays.
 * Where faulting does not work it says so and ends the program, instead of measuring something else.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { SET_CPUID = 0x1012 }; /* ARCH_SET_CPUID */

static long let_cpuid_work(int on) { return syscall(SYS_arch_prctl, SET_CPUID, on); }

static void on_fault(int signal_number, siginfo_t *info, void *context)
{
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *at = (const unsigned char *)regs[REG_RIP];
    unsigned leaf = (unsigned)regs[REG_RAX], sub = (unsigned)regs[REG_RCX], a, b, c, d;
    (void)info;
    if (at[0] != 0x0f || at[1] != 0xa2) { /* not CPUID: a real fault, which happens again */
        signal(signal_number, SIG_DFL);
        return;
    }
    let_cpuid_work(1);
    __cpuid_count(leaf, sub, a, b, c, d);
    let_cpuid_work(0);
    if (leaf == 7 && sub == 0) {
        b &= ~(1u << 16 | 1u << 17 | 1u << 21 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 30 | 1u << 31);
        c &= ~(1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14);
        d &= ~(1u << 2 | 1u << 3 | 1u << 8 | 1u << 22 | 1u << 23 | 1u << 24 | 1u << 25);
    } else if (leaf == 7 && sub == 1) {
        a &= ~(1u << 4 | 1u << 5); /* AVX-VNNI and bf16 */
    } else if (leaf == 13 && sub == 0) {
        a &= ~(0xe0u | 3u << 17); /* the state of AVX-512 and AMX */
    }
    regs[REG_RAX] = a;
    regs[REG_RBX] = b;
    regs[REG_RCX] = c;
    regs[REG_RDX] = d;
    regs[REG_RIP] += 2;
}

__attribute__((constructor)) static void hide(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    if (sigaction(SIGSEGV, &action, NULL) || let_cpuid_work(0)) {
        fputs("engine_avx2: this processor or kernel does not let CPUID fault\n", stderr);
        _exit(69);
    }
}
