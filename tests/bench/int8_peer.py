# Milliseconds of a peer for a batch of pictures: int8_peer.py onnxruntime|openvino MODEL.onnx BATCH THREADS SECONDS
# One line of name=value fields, as engine_bench prints them; rss_mb is resident after the runs, maxrss_mb the most.
import os, resource, sys, time
import numpy as np

peer, path, batch, threads, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
if peer == "onnxruntime":
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0]
    shape, what = source.shape, onnxruntime.__version__
    run = lambda x: session.run(None, {source.name: x})
else:
    import openvino
    core = openvino.Core()
    model = core.read_model(path)
    shape = [d.get_length() if d.is_static else None for d in model.inputs[0].partial_shape]
    model.reshape([batch] + shape[1:])
    compiled = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"})
    request, what = compiled.create_infer_request(), openvino.__version__.split("-")[0]
    del model
    def run(x):
        request.infer({0: x}, share_inputs=True)
x = np.random.default_rng(1).random([batch] + list(shape[1:]), np.float32)
times = []
run(x), run(x)
end = time.monotonic() + seconds
while time.monotonic() < end or len(times) < 3:
    a = time.monotonic()
    run(x)
    times.append((time.monotonic() - a) * 1e3)
now = [int(l.split()[1]) // 1024 for l in open("/proc/self/status") if l.startswith("VmRSS")][0]
print("%s\t%s\tbatch=%d\tthreads=%d\truns=%d\tbest_ms=%.2f\tmedian_ms=%.2f\trss_mb=%d\tmaxrss_mb=%d" % (
    peer, what, batch, threads, len(times), min(times), np.median(times), now, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))
