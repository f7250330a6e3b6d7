/* int8_avxvnni.c: the loops on bytes for x86-64 with AVX2 and AVX-VNNI. */
#ifdef __x86_64__
#pragma GCC target("avx2,fma,avxvnni")
#define INT8_ISA "avx2 with vnni"
#include "tensor/cpu/int8_vectors256.h"

/* The intrinsic makes gcc 12 copy each sum before and after. */
#define DOT(sum, bytes, weights) __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(bytes), "x"(weights))
#include "tensor/cpu/int8_body.h"

#include <cpuid.h>
#include <stdbool.h>

/* Bit 4 of EAX of CPUID leaf 7.1, which gcc 12 has no name for. AVX2 implies that the system saves the ymm
 * registers. */
static bool has_avxvnni(void)
{
    unsigned a = 0, b, c, d;
    return __builtin_cpu_supports("avx2") && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
}

const struct int8_kernels *int8_kernels_avxvnni(void) { return has_avxvnni() ? &table : NULL; }
#else
#include "tensor/cpu/int8_kernels.h"
const struct int8_kernels *int8_kernels_avxvnni(void) { return NULL; }
#endif
