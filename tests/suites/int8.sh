#!/usr/bin/env bash
# Models in 8 bits: export makes one, classify and eval compute it with the same bits on every instruction set, others are refused it.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
T=$TMPDIR
python3 - tests/fixtures/tiny-net/tfjs-float32 "$T" <<'P'
import json, os, random, shutil, struct, sys, zlib
random.seed(5)
source, out = sys.argv[1:]
shutil.copytree(source, out + "/model")
path = out + "/model/model.json"
os.chmod(out + "/model", 0o755); os.chmod(path, 0o644)
model = json.load(open(path))
model["userDefinedMetadata"] = {"classes": list("abcde"), "temperature": 1.5}
json.dump(model, open(path, "w"))
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
os.mkdir(out + "/p")
rows = ["path\tlabel\tsplit"]
for i in range(48):
    base = [random.randrange(256) for _ in range(3)]
    pixels = [bytes(min(255, max(0, base[c] + random.randrange(-60, 60))) for _ in range(16) for c in range(3)) for _ in range(16)]
    open("%s/p/%d.png" % (out, i), "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)) +
                                              chunk(b"IDAT", zlib.compress(b"".join(b"\0" + r for r in pixels))) + chunk(b"IEND", b""))
    rows.append("%d.png\t%s\t%s" % (i, "abcde"[i % 5], "train" if i < 24 else "test"))
open(out + "/m.tsv", "w").write("\n".join(rows) + "\n")
open(out + "/test-only.tsv", "w").write("\n".join(rows[:1] + rows[25:]) + "\n")
P
for s in m test-only; do "$BIN/pack" --size 16 --root "$T/p" -o "$T/$s" "$T/$s.tsv" || exit 1; done
max_difference() {
    python3 - "$@" <<'P'
import sys
a, b = ([dict(zip(t[0].split("\t"), l.split("\t"))) for l in t[1:] if l] for t in (open(f).read().split("\n") for f in sys.argv[1:3]))
assert len(a) == len(b) > 0
print(max(abs(float(x[k]) - float(y[k])) for x, y in zip(a, b) for k in x if k.startswith("p_")))
P
}
less() { python3 -c 'import sys; sys.exit(not float(sys.argv[1]) < float(sys.argv[2]))' "$1" "$2"; }

# --- export ---
"$BIN/export" --model "$T/model" --precision int8 --shards "$T/m" --device cpu -o "$T/int8" >"$T/loss" 2>"$T/err"
ok $? "export --precision int8 $(head -c 300 "$T/err")"
grep -q "1 convolutions\? in int8; 1 layer stays float: 'd1' (Dense)" "$T/err"
ok $? "it says which layers stay float"
awk -F'\t' '{v[$1]=$2} END {exit !("accuracy_before" in v && "accuracy_after" in v && "mean_probability_change" in v && v["mean_probability_change"]<0.01)}' "$T/loss"
ok $? "it prints what was lost on the test split $(tr '\n' ' ' <"$T/loss" | head -c 300)"
python3 - "$T/int8/model.json" <<'P'
import json, sys
m = json.load(open(sys.argv[1]))
q = m["userDefinedMetadata"]["int8"]
w = {x["name"]: x for x in m["weightsManifest"][0]["weights"]}
assert q["version"] == 1 and q["pictures"] == 24 and q["kernels"] == ["c1"]
assert w["c1/kernel"]["quantization"] == {"min": -64, "scale": 1, "dtype": "uint8", "original_dtype": "float32"}
assert all(v["scale"] > 0 and 0 <= v["zero"] <= 255 for v in q["values"]) and "a1" in [v["layer"] for v in q["values"]]
P
ok $? "model.json has the scales, the kernel as bytes"
"$BIN/export" --model "$T/model" --precision int8 --shards "$T/m" --device cpu -q -o "$T/again" >"$T/loss2" && cmp -s "$T/int8/model.json" "$T/again/model.json" &&
    cmp -s "$T/loss" "$T/loss2"
ok $? "a second export gives the same bytes"

"$BIN/export" --model "$T/model" --precision int8 --shards "$T/m" --calibration 3 --device cpu -q -o "$T/few" >/dev/null &&
    grep -q '"int8":{"version":1,"pictures":3,' "$T/few/model.json" && ! cmp -s "$T/int8/model.json" "$T/few/model.json"
ok $? "--calibration: fewer pictures, other scales"

# --- classify and eval ---
"$BIN/classify" --model "$T/model" "$T/p" -o "$T/float.tsv" && "$BIN/classify" --model "$T/int8" "$T/p" -o "$T/c.tsv"
ok $? "classify with an int8 model"
difference=$(max_difference "$T/float.tsv" "$T/c.tsv")
less "$difference" 0.02 && less 0.000001 "$difference"
ok $? "near the floats, and not the same: $difference"
for simd in base avx2 avx512 all; do
    for more in "--batch 1" "--batch 7 -j 1" "--batch 48 -j 3"; do
        # shellcheck disable=SC2086
        env ${simd:+$([ $simd = all ] || echo WINNOW_SIMD=$simd)} "$BIN/classify" --model "$T/int8" $more "$T/p" -o "$T/simd.tsv"
        # the dense layer at the end is float: its last bit follows the instruction set
        less "$(max_difference "$T/c.tsv" "$T/simd.tsv")" 2e-7
        ok $? "the same with WINNOW_SIMD=$simd $more"
    done
done
"$BIN/classify" --model "$T/int8" --precision fp32 "$T/p" -o "$T/as-float.tsv" && less "$(max_difference "$T/float.tsv" "$T/as-float.tsv")" 0.02 &&
    ! cmp -s "$T/c.tsv" "$T/as-float.tsv"
ok $? "--precision fp32 computes the same weights in floats"
"$BIN/classify" --model "$T/int8" --precision int8 "$T/p" -o "$T/asked.tsv" && cmp -s "$T/c.tsv" "$T/asked.tsv"
ok $? "--precision int8 on an int8 model"
"$BIN/eval" --model "$T/int8" --precision int8 --shards "$T/m" --split test --no-report --out "$T/eval" 2>/dev/null &&
    python3 - "$T/eval/predictions.tsv" "$T/c.tsv" <<'P'
import os, sys
a, b = ({os.path.basename(r["path"]): r["p_a"] for r in (dict(zip(t[0].split("\t"), l.split("\t"))) for l in t[1:] if l)} for t in (open(f).read().split("\n") for f in sys.argv[1:3]))
assert len(a) == 24 and all(b[k] == v for k, v in a.items())
P
ok $? "eval --precision int8 gives classify's probabilities"
must_fail 64 "has no int8 form" "int8 of a model without" "$BIN/classify" --model "$T/model" --precision int8 "$T/p/1.png"
must_fail 69 "device 'ref' does not compute int8 models" "int8 on another device" "$BIN/classify" --model "$T/int8" --device ref "$T/p/1.png"
"$BIN/classify" --model "$T/int8" --device ref --precision fp32 "$T/p/1.png" >/dev/null
ok $? "and in floats there"

# --- other exports of an int8 model ---
"$BIN/export" --model "$T/int8" --to tfjs -q -o "$T/copy" && cmp -s "$T/int8/model.json" "$T/copy/model.json" && cmp -s "$T/int8/group1-shard1of1.bin" "$T/copy/group1-shard1of1.bin"
ok $? "a copy of an int8 model is one"

# --- ONNX ---
"$BIN/export" --model "$T/model" --precision int8 --shards "$T/m" --device cpu --to onnx -q -o "$T/q.onnx" >"$T/loss-onnx" && cmp -s "$T/loss" "$T/loss-onnx"
ok $? "an ONNX file, and the same loss $(head -c 200 "$T/loss-onnx")"
"$BIN/export" --model "$T/int8" --precision int8 --to onnx -q -o "$T/q2.onnx" && cmp -s "$T/q.onnx" "$T/q2.onnx"
ok $? "the same file from the folder, without calibration"
must_fail 65 "QuantizeLinear" "which classify does not take for a model in floats" "$BIN/classify" --model "$T/q.onnx" "$T/p/1.png"
python=$TOP/build/py/bin/python
if "$python" -c 'import onnxruntime, PIL' 2>/dev/null; then
    difference=$("$python" - "$T/q.onnx" "$T/c.tsv" <<'P'
import sys
import numpy as np, onnxruntime as ort
from PIL import Image
session = ort.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
m = session.get_modelmeta().custom_metadata_map
lines = [l.split("\t") for l in open(sys.argv[2]).read().split("\n") if l]
rows = [dict(zip(lines[0], l)) for l in lines[1:]]
x = np.stack([np.asarray(Image.open(r["path"]).convert("RGB"), np.float32) for r in rows])
p = session.run(None, {session.get_inputs()[0].name: x * np.float32(m["input_scale"]) + np.float32(m["input_offset"])})[0]
p = p ** (1 / float(m["temperature"]))
p /= p.sum(1, keepdims=True)
print(abs(p - np.array([[float(v) for k, v in r.items() if k.startswith("p_")] for r in rows])).max())
P
    )
    # an average of bytes may be rounded the other way there: one step of 255 before a dense layer
    less "$difference" 0.001
    ok $? "onnxruntime gives classify's probabilities: $difference"
else
    skip "onnxruntime's answers" "no onnxruntime or Pillow in build/py: ./bootstrap deps"
fi

# --- refusals ---
must_fail 64 "needs --shards DIR" "no pictures to calibrate on" "$BIN/export" --model "$T/model" --precision int8 -o "$T/x"
must_fail 65 "no pictures in the split 'train'" "no training pictures" "$BIN/export" --model "$T/model" --precision int8 --shards "$T/test-only" -o "$T/x"
must_fail 64 "--precision int8 can be used only with --to tfjs or onnx" "int8 as .h5" "$BIN/export" --model "$T/model" --precision int8 --shards "$T/m" --to keras -o "$T/x.h5"
must_fail 64 "leave --quantize away" "int8 and --quantize" "$BIN/export" --model "$T/model" --precision int8 --shards "$T/m" --quantize uint8 -o "$T/x"
must_fail 65 "is an int8 model" "train refuses an int8 base" "$BIN/train" --phase head --base "$T/int8" --shards "$T/m" --out "$T/x"
must_fail 65 "is an int8 model" "embed refuses an int8 base" "$BIN/embed" --base "$T/int8" --root "$T/p" -o "$T/x" "$T/m.tsv"
[ ! -e "$T/x" ] || [ ! -e "$T/x/model.json" ]
ok $? "a refusal writes no model"
damage() { # name, python statement on q
    rm -rf "$T/bad" && cp -r "$T/int8" "$T/bad" && python3 - "$T/bad/model.json" "$2" <<'P'
import json, sys
m = json.load(open(sys.argv[1]))
q = m["userDefinedMetadata"]["int8"]
exec(sys.argv[2])
json.dump(m, open(sys.argv[1], "w"))
P
    must_fail 65 "$3" "$1" "$BIN/classify" --model "$T/bad" "$T/p/1.png"
}
damage "a later version" 'q["version"] = 2' "use a later winnow"
damage "no version" 'del q["version"]' "it has no version"
damage "a kernel that is no convolution" 'q["kernels"].append("d1")' "is not a convolution"
damage "a layer that is not there" 'q["values"][0]["layer"] = "nobody"' "does not have"
damage "a scale of nothing" 'q["values"][0]["scale"] = 0' "'scale' must be"
damage "a zero beyond a byte" 'q["values"][0]["zero"] = 256' "'zero' must be"
damage "weights that are no whole numbers" 'm["weightsManifest"][0]["weights"][0]["quantization"]["scale"] = 0.5' "must be whole numbers"
done_testing
