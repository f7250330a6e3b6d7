/*
 * fake.h: what the stand-ins for the CUDA libraries share. The core (device memory, streams, fault injection)
 * lives in the stand-in of libcudart; those of libcudnn, libcublas and libnccl are linked against it.
 *
 * A call of a stand-in does what the documentation says the real one does before it returns: it checks its
 * arguments. The arithmetic is put into the stream's queue as a closure and runs when somebody waits for that
 * stream. README.md has the rules and the environment variables.
 */
#ifndef FAKECUDA_FAKE_H
#define FAKECUDA_FAKE_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cuda_runtime_api.h>

#define FAKE_API __attribute__((visibility("default")))

/* --- calls and their failures --- */

/*
 * Every entry point that returns a status begins with this. It counts the call and says whether it is the one
 * that the test wants to fail. Calls that release something never are: a program cannot do anything about
 * those.
 */
FAKE_API bool fake_call_fails(const char *call);
FAKE_API bool fake_dry(void);        /* nothing is computed, only counted */
FAKE_API void fake_count_wait(void); /* the host waits for the device: counted as a call "(host wait)" */
FAKE_API void fake_complain(const char *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* For a test, through dlsym: absent from the real libraries, and so is whatever needs it. */
FAKE_API void fakecuda_fail_call(long nth); /* the nth call from now on fails; 0 = none */
FAKE_API long fakecuda_calls(void);         /* calls counted since the last fakecuda_fail_call */
/* the nth queued piece of work from now on fails when it runs */
FAKE_API void fakecuda_fail_execution(long nth);
FAKE_API long fakecuda_executions(void);
FAKE_API const char *fakecuda_failed_call(void); /* the name of the call that was made to fail last, or "" */
FAKE_API long fakecuda_complaints(void);         /* misuses seen so far: each was also printed to stderr */
FAKE_API const char *fakecuda_last_complaint(void);
FAKE_API void fakecuda_forgive(void); /* clears complaints and the devices' sticky error */
/* Calls, or executed pieces of work, of that name ("": of all) since the last fakecuda_fail_call. */
FAKE_API long fakecuda_count(const char *name, bool executed);
/* The i-th name counted so; NULL past the last. */
FAKE_API const char *fakecuda_counted(int i, bool executed);
/* device and pinned memory, streams, events, handles, descriptors */
FAKE_API long fakecuda_live_objects(void);
FAKE_API size_t fakecuda_peak_bytes(int device);

/* --- objects --- */

/* A handle or descriptor of the kind given, with room for each_bytes after the common head; zeroed. */
FAKE_API void *fake_object_new(const char *kind, size_t each_bytes);
FAKE_API bool fake_object_is(const void *object, const char *kind); /* alive and of that kind; NULL is not */
FAKE_API void fake_object_free(void *object);

/* --- device memory --- */

enum fake_access { FAKE_READ = 1, FAKE_WRITE = 2 };

/*
 * For work that runs: the host address behind device address p when [p, p+bytes) lies within one live
 * allocation of the running stream's device; it also looks for races with the other streams. Otherwise
 * complains, makes the device's error stick and gives NULL: the work must then stop. p may not be NULL unless
 * bytes is 0 (a unique non-NULL answer).
 */
FAKE_API void *fake_access(const void *p, size_t bytes, int access, const char *what);
/* For calls: whether p points into a live allocation at all (a pointer that cannot be right is refused at
 * once). */
FAKE_API bool fake_is_device(const void *p);
FAKE_API void fake_scratch_poison(void *host, size_t bytes); /* NaN in every float and bfloat16 */

/* --- queued work --- */

typedef void (*fake_work)(const void *args);
/* Copies args (n_bytes) and queues work on the stream; name must be a literal. */
FAKE_API cudaError_t fake_queue(cudaStream_t stream, const char *name, fake_work work, const void *args,
                                size_t n_bytes);
/* The same; renew changes the arguments whenever the work is queued, by a graph's launch too. */
FAKE_API cudaError_t fake_queue_renewed(cudaStream_t stream, const char *name, fake_work work,
                                        void (*renew)(void *args), const void *args, size_t n_bytes);
/* A call that a capture under way in this thread does not allow: true, and the capture is lost. */
FAKE_API bool fake_capture_refuses(void);
FAKE_API void fake_spend(double ms); /* for work that runs: how long it takes by the events' clock */
/* For work that runs: it cannot be done yet, and is tried again later. waits_for_others: for what another
 * process does; otherwise for other work of this one. */
FAKE_API void fake_not_yet(bool waits_for_others);
FAKE_API bool fake_stream_is_live(cudaStream_t stream);
FAKE_API cudaError_t fake_stream_wait_host(cudaStream_t stream);
#define FAKE_MAX_STREAMS 64
FAKE_API void fake_clock_save(uint64_t *into); /* FAKE_MAX_STREAMS of them */
FAKE_API void fake_clock_join(const uint64_t *from);
FAKE_API int fake_stream_device(cudaStream_t stream);
FAKE_API int fake_current_device(void);
FAKE_API cudaError_t fake_sticky(void); /* the current device's error that no call survives, or cudaSuccess */
/* The last error of the runtime that nobody has fetched: other libraries' launches would report it. */
FAKE_API cudaError_t fake_last_error(bool clear);
FAKE_API void fake_break(const char *call, const char *why); /* makes it stick */
FAKE_API int fake_compute_capability(void);                  /* 75, 80, 90: FAKECUDA_CC */

/* --- numbers --- */

static inline float fake_from_bf16(uint16_t h)
{
    union {
        uint32_t u;
        float f;
    } v = {(uint32_t)h << 16};
    return v.f;
}

static inline uint16_t fake_to_bf16(float f) /* to nearest, ties to even, as the hardware */
{
    union {
        float f;
        uint32_t u;
    } v = {f};
    if ((v.u & 0x7fffffff) > 0x7f800000) return 0x7fff;
    return (uint16_t)((v.u + 0x7fff + ((v.u >> 16) & 1)) >> 16);
}

static inline float fake_from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 1023;
    union {
        uint32_t u;
        float f;
    } v = {sign | (exponent == 31 ? 0x7f800000 : (exponent + 112) << 23) | mantissa << 13};
    if (!exponent) v.f = (float)mantissa * (sign ? -0x1p-24f : 0x1p-24f);
    return v.f;
}

static inline uint16_t fake_to_f16(float f) /* to nearest, ties to even; 65520 and above are infinite */
{
    union {
        float f;
        uint32_t u;
    } v = {f};
    uint32_t sign = v.u >> 16 & 0x8000, u = v.u & 0x7fffffff;
    if (u > 0x7f800000) return 0x7fff;
    if (u >= 0x477ff000) return (uint16_t)(sign | 0x7c00);
    if (u < 0x38800000) return (uint16_t)(sign | (uint32_t)rintf(fabsf(f) * 0x1p24f)); /* below 2^-14 */
    return (uint16_t)(sign | (((u + 0xfff + (u >> 13 & 1)) >> 13) - (112 << 10)));
}

static inline float fake_to_tf32(float f) /* ten bits of mantissa, to nearest, ties away */
{
    union {
        float f;
        uint32_t u;
    } v = {f};
    if ((v.u & 0x7f800000) == 0x7f800000) return f;
    v.u = (v.u + 0x1000) & ~0x1fffu;
    return v.f;
}

/*
 * C[m,n] = A[m,k] * B[k,n], row-major and dense, C overwritten (add: added to). Sums in float in blocks of k.
 * Rows of A, B and C begin lda, ldb and ldc elements apart.
 */
FAKE_API void fake_gemm(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb,
                        float *c, size_t ldc, bool add);

#endif
