// Milliseconds of an ONNX model under onnxruntime-node (CPU), in engine_bench's form.
// usage: node engine_ort.cjs MODEL.onnx BATCH THREADS SECONDS     NODE_PATH leads to onnxruntime-node
const ort = require('onnxruntime-node');
const [model, batch, threads, seconds] = process.argv.slice(2);
(async () => {
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ['cpu'], intraOpNumThreads: +threads, interOpNumThreads: 1, graphOptimizationLevel: 'all' });
  const n = +batch, x = new ort.Tensor('float32', Float32Array.from({ length: n * 3 * 299 * 299 }, Math.random), [n, 3, 299, 299]);
  for (let i = 0; i < 2; i++) await session.run({ x });
  const times = [], cpu = [], least = +(process.env.MIN_RUNS || 3), end = performance.now() + seconds * 1000;
  while (performance.now() < end || times.length < least) {
    const a = performance.now(), c = process.cpuUsage();
    await session.run({ x });
    times.push(performance.now() - a);
    const d = process.cpuUsage(c);
    cpu.push((d.user + d.system) / 1000);
  }
  times.sort((a, b) => a - b);
  const median = times[times.length >> 1];
  console.log(['onnxruntime', 'infer', 'batch=' + n, 'threads=' + threads, 'runs=' + times.length, 'best_ms=' + times[0].toFixed(2),
    'median_ms=' + median.toFixed(2), 'cpu_best_ms=' + Math.min(...cpu).toFixed(2), 'img_s_median=' + (n * 1e3 / median).toFixed(2),
    'maxrss_mb=' + (process.resourceUsage().maxRSS / 1024 | 0)].join('\t'));
})();
