"""Milliseconds of an ONNX model under onnxruntime or OpenVINO from PyPI (CPU, float32), in engine_bench's form.

usage: engine_peers.py onnxruntime|openvino MODEL.onnx BATCH THREADS SECONDS
"""
import os
import resource
import sys
import time

import numpy as np


def opened(peer, path, batch, threads):
    """A function that runs the model once on pictures of its size."""
    if peer == "onnxruntime":
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        entry = session.get_inputs()[0]
        dims = [d if isinstance(d, int) else 0 for d in entry.shape]
        x = pictures(dims, batch)
        return lambda: session.run(None, {entry.name: x})
    import openvino as ov

    core = ov.Core()
    model = core.read_model(path)
    dims = [d.get_length() if d.is_static else 0 for d in model.inputs[0].partial_shape]
    x = pictures(dims, batch)
    model.reshape({model.inputs[0].any_name: list(x.shape)})
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    tensor = ov.Tensor(x)
    return lambda: request.infer({0: tensor})


def pictures(dims, batch):
    side = int(os.environ.get("SIDE", "299"))  # where the model leaves it open
    shape = [batch] + [d or side for d in dims[1:]]
    return np.random.default_rng(1).random(shape, dtype=np.float32)


def main():
    peer, path, batch, threads, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
    run = opened(peer, path, batch, threads)
    for _ in range(2):
        run()
    times, cpu = [], []
    end, least = time.monotonic() + seconds, int(os.environ.get("MIN_RUNS", "3"))
    while time.monotonic() < end or len(times) < least:
        a, c = time.monotonic(), time.process_time()
        run()
        times.append((time.monotonic() - a) * 1e3)
        cpu.append((time.process_time() - c) * 1e3)
    times.sort()
    median = times[len(times) // 2]
    print(peer, "infer", f"batch={batch}", f"threads={threads}", f"runs={len(times)}", f"best_ms={times[0]:.2f}",
          f"median_ms={median:.2f}", f"cpu_best_ms={min(cpu):.2f}", f"img_s_median={batch * 1e3 / median:.2f}",
          f"maxrss_mb={resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}", sep="\t")


main()
