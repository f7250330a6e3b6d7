/*
 * cudart.c: the calls of the CUDA runtime that winnow makes, over core.c.
 * Stricter than the hardware: no default stream, asynchronous copies only with pinned memory, and those read
 * and write the host's side when the copy runs, not when it is queued. A download's destination is poisoned
 * until then.
 */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* core.c's, not for the other libraries */
cudaError_t fake_malloc(void **out, size_t bytes);
cudaError_t fake_free(void *p);
void fake_memory_info(size_t *free_bytes, size_t *total_bytes);
cudaError_t fake_pin(void **out, size_t bytes);
cudaError_t fake_unpin(void *p);
bool fake_is_pinned(const void *p, size_t bytes);
int fake_device_count(void);
cudaError_t fake_set_device(int device);
cudaError_t fake_stream_new(cudaStream_t *out);
cudaError_t fake_device_wait_host(void);
cudaError_t fake_stream_delete(cudaStream_t stream);
cudaError_t fake_event_record(cudaEvent_t e, cudaStream_t stream);
cudaError_t fake_stream_wait_event(cudaStream_t stream, cudaEvent_t e);
cudaError_t fake_event_wait_host(cudaEvent_t e);
cudaEvent_t fake_event_new(void);
bool fake_event_done(cudaEvent_t e);
double fake_event_ms(cudaEvent_t e);
bool fake_stream_idle(cudaStream_t stream);
cudaError_t fake_capture_begin(cudaStream_t stream);
cudaError_t fake_capture_end(cudaStream_t stream, cudaGraph_t *out);
cudaError_t fake_graph_instantiate(cudaGraphExec_t *out, cudaGraph_t graph);
cudaError_t fake_graph_launch(cudaGraphExec_t exec, cudaStream_t stream);
void fake_graph_free(cudaGraph_t graph);
void fake_graph_exec_free(cudaGraphExec_t exec);

#define BEGIN(call, failure)                                                                                 \
    do {                                                                                                     \
        if (fake_call_fails(call)) return (failure);                                                         \
        if (fake_sticky() != cudaSuccess) return fake_sticky();                                              \
    } while (0)

/* For calls that wait, allocate or free. */
#define NOT_IN_A_CAPTURE                                                                                     \
    do {                                                                                                     \
        if (fake_capture_refuses()) return cudaErrorStreamCaptureUnsupported;                                \
    } while (0)

FAKE_API cudaError_t CUDARTAPI cudaGetDeviceCount(int *count)
{
    if (fake_call_fails("cudaGetDeviceCount")) return cudaErrorInsufficientDriver;
    *count = fake_device_count();
    return *count ? cudaSuccess : cudaErrorNoDevice;
}

FAKE_API cudaError_t CUDARTAPI cudaSetDevice(int device)
{
    BEGIN("cudaSetDevice", cudaErrorDevicesUnavailable);
    return fake_set_device(device);
}

FAKE_API cudaError_t CUDARTAPI cudaGetDevice(int *device)
{
    BEGIN("cudaGetDevice", cudaErrorUnknown);
    *device = fake_current_device();
    return cudaSuccess;
}

FAKE_API cudaError_t CUDARTAPI cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device)
{
    BEGIN("cudaGetDeviceProperties", cudaErrorUnknown);
    if (device < 0 || device >= fake_device_count()) return cudaErrorInvalidDevice;
    int now = fake_current_device();
    size_t unused;
    memset(prop, 0, sizeof *prop);
    fake_set_device(device);
    fake_memory_info(&unused, &prop->totalGlobalMem);
    fake_set_device(now);
    snprintf(prop->name, sizeof prop->name, "winnow stand-in %d", device);
    prop->major = fake_compute_capability() / 10;
    prop->minor = fake_compute_capability() % 10;
    prop->multiProcessorCount = 1;
    return cudaSuccess;
}

FAKE_API cudaError_t CUDARTAPI cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attr, int device)
{
    BEGIN("cudaDeviceGetAttribute", cudaErrorUnknown);
    if (device < 0 || device >= fake_device_count()) return cudaErrorInvalidDevice;
    switch (attr) {
    case cudaDevAttrComputeCapabilityMajor: *value = fake_compute_capability() / 10; return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor: *value = fake_compute_capability() % 10; return cudaSuccess;
    case cudaDevAttrMultiProcessorCount: *value = 1; return cudaSuccess;
    case cudaDevAttrClockRate: *value = 1000000; return cudaSuccess;
    case cudaDevAttrGlobalMemoryBusWidth: *value = 256; return cudaSuccess;
    default:
        fake_complain("cudaDeviceGetAttribute", "attribute %d is not in the stand-in", (int)attr);
        return cudaErrorInvalidValue;
    }
}

FAKE_API cudaError_t CUDARTAPI cudaRuntimeGetVersion(int *version)
{
    BEGIN("cudaRuntimeGetVersion", cudaErrorUnknown);
    *version = CUDART_VERSION;
    return cudaSuccess;
}

FAKE_API cudaError_t CUDARTAPI cudaDriverGetVersion(int *version)
{
    BEGIN("cudaDriverGetVersion", cudaErrorUnknown);
    *version = CUDART_VERSION;
    return cudaSuccess;
}

FAKE_API cudaError_t CUDARTAPI cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
    BEGIN("cudaMemGetInfo", cudaErrorUnknown);
    fake_memory_info(free_bytes, total_bytes);
    return cudaSuccess;
}

FAKE_API cudaError_t CUDARTAPI cudaMalloc(void **p, size_t bytes)
{
    BEGIN("cudaMalloc", cudaErrorMemoryAllocation);
    NOT_IN_A_CAPTURE;
    return fake_malloc(p, bytes);
}

FAKE_API cudaError_t CUDARTAPI cudaFree(void *p)
{
    if (p) NOT_IN_A_CAPTURE;
    return fake_free(p);
}

FAKE_API cudaError_t CUDARTAPI cudaMallocHost(void **p, size_t bytes)
{
    BEGIN("cudaMallocHost", cudaErrorMemoryAllocation);
    NOT_IN_A_CAPTURE;
    return fake_pin(p, bytes);
}

FAKE_API cudaError_t CUDARTAPI cudaHostAlloc(void **p, size_t bytes, unsigned flags)
{
    BEGIN("cudaHostAlloc", cudaErrorMemoryAllocation);
    NOT_IN_A_CAPTURE;
    return fake_pin(p, bytes);
}

FAKE_API cudaError_t CUDARTAPI cudaFreeHost(void *p)
{
    NOT_IN_A_CAPTURE;
    return fake_unpin(p);
}

/* --- copies --- */

struct copy {
    void *to;
    const void *from;
    size_t bytes;
    enum cudaMemcpyKind kind;
};

static void copy_run(const void *args)
{
    const struct copy *c = args;
    void *to = c->to;
    const void *from = c->from;
    const void *host = c->kind == cudaMemcpyHostToDevice   ? from
                       : c->kind == cudaMemcpyDeviceToHost ? to
                                                           : NULL;
    if (host && !fake_is_pinned(host, c->bytes)) {
        fake_break("cudaMemcpyAsync", "the host's memory was released before the copy ran");
        return;
    }
    if (c->kind != cudaMemcpyHostToDevice && !(from = fake_access(from, c->bytes, FAKE_READ, "the source")))
        return;
    if (c->kind != cudaMemcpyDeviceToHost && !(to = fake_access(to, c->bytes, FAKE_WRITE, "the destination")))
        return;
    memmove(to, from, c->bytes);
}

FAKE_API cudaError_t CUDARTAPI cudaMemcpyAsync(void *to, const void *from, size_t bytes,
                                               enum cudaMemcpyKind kind, cudaStream_t stream)
{
    BEGIN("cudaMemcpyAsync", cudaErrorUnknown);
    bool device_to = fake_is_device(to), device_from = fake_is_device(from);
    if (!bytes) return cudaSuccess;
    if ((kind == cudaMemcpyHostToDevice && (device_from || !device_to)) ||
        (kind == cudaMemcpyDeviceToHost && (!device_from || device_to)) ||
        (kind == cudaMemcpyDeviceToDevice && (!device_from || !device_to)) ||
        kind > cudaMemcpyDeviceToDevice || kind == cudaMemcpyHostToHost) {
        fake_complain("cudaMemcpyAsync", "the addresses do not fit the kind of copy (%d)", (int)kind);
        return cudaErrorInvalidValue;
    }
    const void *host = kind == cudaMemcpyHostToDevice ? from : kind == cudaMemcpyDeviceToHost ? to : NULL;
    if (host && !fake_is_pinned(host, bytes)) {
        fake_complain("cudaMemcpyAsync",
                      "%zu bytes of host memory that is not pinned: the copy would not overlap", bytes);
        return cudaErrorInvalidValue;
    }
    if (kind == cudaMemcpyDeviceToHost) fake_scratch_poison(to, bytes);
    struct copy c = {to, from, bytes, kind};
    return fake_queue(stream, "cudaMemcpyAsync", copy_run, &c, sizeof c);
}

struct copy_rows {
    void *to;
    const void *from;
    size_t to_pitch, from_pitch, width, height;
};

static void copy_rows_run(const void *args)
{
    const struct copy_rows *c = args;
    char *to = fake_access(c->to, c->to_pitch * (c->height - 1) + c->width, FAKE_WRITE, "the destination");
    const char *from =
        fake_access(c->from, c->from_pitch * (c->height - 1) + c->width, FAKE_READ, "the source");
    for (size_t i = 0; to && from && i < c->height; i++)
        memcpy(to + i * c->to_pitch, from + i * c->from_pitch, c->width);
}

FAKE_API cudaError_t CUDARTAPI cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from,
                                                 size_t from_pitch, size_t width, size_t height,
                                                 enum cudaMemcpyKind kind, cudaStream_t stream)
{
    BEGIN("cudaMemcpy2DAsync", cudaErrorUnknown);
    if (kind != cudaMemcpyDeviceToDevice || !fake_is_device(to) || !fake_is_device(from) ||
        width > to_pitch || width > from_pitch || !width || !height) {
        fake_complain("cudaMemcpy2DAsync", "%zu of %zu and %zu bytes, kind %d", width, to_pitch, from_pitch,
                      (int)kind);
        return cudaErrorInvalidValue;
    }
    struct copy_rows c = {to, from, to_pitch, from_pitch, width, height};
    return fake_queue(stream, "cudaMemcpy2DAsync", copy_rows_run, &c, sizeof c);
}

struct set {
    void *to;
    int value;
    size_t bytes;
};

static void set_run(const void *args)
{
    const struct set *s = args;
    void *to = fake_access(s->to, s->bytes, FAKE_WRITE, "the destination");
    if (to) memset(to, s->value, s->bytes);
}

FAKE_API cudaError_t CUDARTAPI cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    BEGIN("cudaMemsetAsync", cudaErrorUnknown);
    if (!fake_is_device(to) && bytes) {
        fake_complain("cudaMemsetAsync", "%p is not device memory", to);
        return cudaErrorInvalidValue;
    }
    struct set s = {to, value, bytes};
    return fake_queue(stream, "cudaMemsetAsync", set_run, &s, sizeof s);
}

/* --- streams and events --- */

FAKE_API cudaError_t CUDARTAPI cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
    BEGIN("cudaStreamCreateWithFlags", cudaErrorUnknown);
    return fake_stream_new(stream);
}

FAKE_API cudaError_t CUDARTAPI cudaStreamDestroy(cudaStream_t stream) { return fake_stream_delete(stream); }

FAKE_API cudaError_t CUDARTAPI cudaStreamSynchronize(cudaStream_t stream)
{
    BEGIN("cudaStreamSynchronize", cudaErrorLaunchFailure);
    NOT_IN_A_CAPTURE;
    fake_count_wait();
    return fake_stream_is_live(stream) ? fake_stream_wait_host(stream) : cudaErrorInvalidResourceHandle;
}

FAKE_API cudaError_t CUDARTAPI cudaStreamQuery(cudaStream_t stream)
{
    BEGIN("cudaStreamQuery", cudaErrorLaunchFailure);
    NOT_IN_A_CAPTURE;
    if (!fake_stream_is_live(stream)) return cudaErrorInvalidResourceHandle;
    return fake_stream_idle(stream) ? cudaSuccess : cudaErrorNotReady;
}

FAKE_API cudaError_t CUDARTAPI cudaDeviceSynchronize(void)
{
    BEGIN("cudaDeviceSynchronize", cudaErrorLaunchFailure);
    NOT_IN_A_CAPTURE;
    return fake_device_wait_host();
}

FAKE_API cudaError_t CUDARTAPI cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
    BEGIN("cudaEventCreateWithFlags", cudaErrorUnknown);
    *event = fake_event_new();
    return *event ? cudaSuccess : cudaErrorMemoryAllocation;
}

FAKE_API cudaError_t CUDARTAPI cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    BEGIN("cudaEventElapsedTime", cudaErrorUnknown);
    if (!fake_object_is(from, "event") || !fake_object_is(to, "event")) return cudaErrorInvalidResourceHandle;
    if (!fake_event_done(from) || !fake_event_done(to)) return cudaErrorNotReady;
    *ms = (float)(fake_event_ms(to) - fake_event_ms(from));
    return cudaSuccess;
}

FAKE_API cudaError_t CUDARTAPI cudaEventDestroy(cudaEvent_t event)
{
    if (!fake_object_is(event, "event")) return cudaErrorInvalidResourceHandle;
    fake_object_free(event);
    return cudaSuccess;
}

FAKE_API cudaError_t CUDARTAPI cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    BEGIN("cudaEventRecord", cudaErrorUnknown);
    if (!fake_object_is(event, "event") || !fake_stream_is_live(stream))
        return cudaErrorInvalidResourceHandle;
    return fake_event_record(event, stream);
}

FAKE_API cudaError_t CUDARTAPI cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
    BEGIN("cudaStreamWaitEvent", cudaErrorUnknown);
    if (!fake_object_is(event, "event") || !fake_stream_is_live(stream))
        return cudaErrorInvalidResourceHandle;
    return fake_stream_wait_event(stream, event);
}

FAKE_API cudaError_t CUDARTAPI cudaEventSynchronize(cudaEvent_t event)
{
    BEGIN("cudaEventSynchronize", cudaErrorLaunchFailure);
    NOT_IN_A_CAPTURE;
    if (fake_object_is(event, "event") && !fake_event_done(event)) fake_count_wait();
    return fake_object_is(event, "event") ? fake_event_wait_host(event) : cudaErrorInvalidResourceHandle;
}

FAKE_API cudaError_t CUDARTAPI cudaEventQuery(cudaEvent_t event)
{
    BEGIN("cudaEventQuery", cudaErrorLaunchFailure);
    NOT_IN_A_CAPTURE;
    if (!fake_object_is(event, "event")) return cudaErrorInvalidResourceHandle;
    return fake_event_done(event) ? cudaSuccess : cudaErrorNotReady;
}

/* --- graphs --- */

FAKE_API cudaError_t CUDARTAPI cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
    BEGIN("cudaStreamBeginCapture", cudaErrorUnknown);
    const char *support = getenv("FAKECUDA_SUPPORT");
    if (support && strstr(support, "no-graphs")) return cudaErrorNotSupported;
    if (!fake_stream_is_live(stream)) return cudaErrorInvalidResourceHandle;
    if (mode != cudaStreamCaptureModeThreadLocal) {
        fake_complain("cudaStreamBeginCapture", "mode %d is not in the stand-in", (int)mode);
        return cudaErrorInvalidValue;
    }
    return fake_capture_begin(stream);
}

FAKE_API cudaError_t CUDARTAPI cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    bool fails = fake_call_fails("cudaStreamEndCapture");
    *graph = NULL;
    if (!fake_stream_is_live(stream)) return cudaErrorInvalidResourceHandle;
    cudaError_t rc = fake_capture_end(stream, graph);
    if (!fails || rc != cudaSuccess) return rc;
    fake_graph_free(*graph);
    *graph = NULL;
    return cudaErrorUnknown;
}

FAKE_API cudaError_t CUDARTAPI cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph,
                                                    unsigned long long flags)
{
    BEGIN("cudaGraphInstantiate", cudaErrorUnknown);
    NOT_IN_A_CAPTURE;
    if (!fake_object_is(graph, "graph") || flags) return cudaErrorInvalidValue;
    return fake_graph_instantiate(exec, graph);
}

FAKE_API cudaError_t CUDARTAPI cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    BEGIN("cudaGraphLaunch", cudaErrorLaunchFailure);
    if (!fake_object_is(exec, "graph exec") || !fake_stream_is_live(stream))
        return cudaErrorInvalidResourceHandle;
    return fake_graph_launch(exec, stream);
}

FAKE_API cudaError_t CUDARTAPI cudaGraphDestroy(cudaGraph_t graph)
{
    if (!fake_object_is(graph, "graph")) return cudaErrorInvalidValue;
    fake_graph_free(graph);
    return cudaSuccess;
}

FAKE_API cudaError_t CUDARTAPI cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    if (!fake_object_is(exec, "graph exec")) return cudaErrorInvalidValue;
    fake_graph_exec_free(exec);
    return cudaSuccess;
}

/* --- words --- */

FAKE_API cudaError_t CUDARTAPI cudaGetLastError(void) { return fake_last_error(true); }
FAKE_API cudaError_t CUDARTAPI cudaPeekAtLastError(void) { return fake_last_error(false); }

FAKE_API const char *CUDARTAPI cudaGetErrorName(cudaError_t error)
{
    switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
    case cudaErrorInsufficientDriver: return "cudaErrorInsufficientDriver";
    case cudaErrorDevicesUnavailable: return "cudaErrorDevicesUnavailable";
    case cudaErrorInvalidResourceHandle: return "cudaErrorInvalidResourceHandle";
    case cudaErrorNotReady: return "cudaErrorNotReady";
    case cudaErrorIllegalAddress: return "cudaErrorIllegalAddress";
    case cudaErrorLaunchFailure: return "cudaErrorLaunchFailure";
    case cudaErrorNotSupported: return "cudaErrorNotSupported";
    case cudaErrorIllegalState: return "cudaErrorIllegalState";
    case cudaErrorStreamCaptureUnsupported: return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated: return "cudaErrorStreamCaptureInvalidated";
    default: return "cudaErrorUnknown";
    }
}

FAKE_API const char *CUDARTAPI cudaGetErrorString(cudaError_t error)
{
    switch (error) {
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorIllegalAddress: return "an illegal memory access was encountered";
    case cudaErrorLaunchFailure: return "unspecified launch failure";
    default: return cudaGetErrorName(error);
    }
}
