/* int8_vnni.c: the loops on bytes for x86-64 with AVX-512 and its VNNI. */
#ifdef __x86_64__
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,prefer-vector-width=512")
#define INT8_ISA "avx512 with vnni"
#include "tensor/cpu/int8_vectors512.h"

/* The intrinsic makes gcc 12 copy each sum before and after. */
#define DOT(sum, bytes, weights) __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(bytes), "v"(weights))
#include "tensor/cpu/int8_body.h"

const struct int8_kernels *int8_kernels_vnni(void)
{
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                   __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni")
               ? &table
               : NULL;
}
#else
#include "tensor/cpu/int8_kernels.h"
const struct int8_kernels *int8_kernels_vnni(void) { return NULL; }
#endif
