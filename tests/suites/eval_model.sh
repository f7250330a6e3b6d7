#!/usr/bin/env bash
# eval with a model: predictions of pictures in a manifest, bad input, and a temperature that is fitted, stored and then applied.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
T=$TMPDIR
model=$T/model
cp -r tests/fixtures/tiny-net/tfjs-float32 "$model"
chmod -R u+w "$model"
mkdir "$T/p"
python3 - "$T/p" <<'P'
import random, struct, sys, zlib
random.seed(3)
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
for i in range(24):
    rows = b"".join(b"\0" + bytes(random.randrange(256) for _ in range(96)) for _ in range(32))
    open("%s/%d.png" % (sys.argv[1], i), "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0)) +
                                                     chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
P
echo "no picture" >"$T/p/broken.png"
{ printf 'path\tlabel\tsplit\tvariant\n'; for i in $(seq 0 23); do printf '%d.png\tclass_%d\t%s\t0\n' "$i" $((i % 5 == 0 ? i / 5 % 4 : 3)) "$([ $((i % 3)) = 0 ] && echo test || echo val)"; done
  printf '1.png\tclass_3\tval\t1\nbroken.png\tclass_3\tval\t0\n'; } >"$T/m.tsv"
"$BIN/eval" --model "$model" --shards "$T/m.tsv" --split val --root "$T/p" --out "$T/a" 2>"$T/err"
ok $? "a manifest through a model $(head -c 200 "$T/err")"
[ "$(wc -l <"$T/a/predictions.tsv")" = 17 ] && grep -q '^eval: 1 pictures could not be read' "$T/err"
ok $? "rows of the split, no variants, the broken one counted"
head -1 "$T/a/predictions.tsv" | grep -q '^path	id	label	pred	p_class_0	.*	split	fold	group$'
ok $? "columns of predictions.tsv"
"$BIN/classify" --model "$model" "$T/p/1.png" -o "$T/c.tsv" &&
    python3 - "$T/c.tsv" "$T/a/predictions.tsv" <<'P'
import sys
rows = [[dict(zip(lines[0].split("\t"), l.split("\t"))) for l in lines[1:] if l] for lines in (open(f).read().split("\n") for f in sys.argv[1:])]
a, b = rows[0][0], next(r for r in rows[1] if r["path"] == "1.png")
keys = [k for k in b if k.startswith("p_")]
assert len(keys) > 1 and [a[k] for k in keys] == [b[k] for k in keys]
P
ok $? "the same probabilities as classify's, digit by digit"
"$BIN/eval" --predictions "$T/a/predictions.tsv" --out "$T/b" --no-report && cmp -s "$T/a/metrics.tsv" "$T/b/metrics.tsv"
ok $? "predictions.tsv alone gives the same metrics"
grep -q 'data:image/jpeg' "$T/a/report.html"
ok $? "worst mistakes have thumbnails"
"$BIN/eval" --model "$model" --shards "$T/m.tsv" --split val --root "$T/p" --out "$T/t" --fit-temperature --no-report 2>/dev/null
ok $? "a temperature is fitted"
fitted=$(awk 'NR == 2 { print $1 }' "$T/t/temperature.tsv")
node_temperature=$(grep -o '"temperature": *[0-9.e+-]*' "$model/model.json" | grep -o '[0-9.e+-]*$')
awk -v a="$fitted" -v b="${node_temperature:-0}" 'BEGIN { d = a - b; exit !(d < 1e-6 && d > -1e-6 && a != 1) }'
ok $? "and stored in the model ($fitted, $node_temperature)"
"$BIN/eval" --model "$model" --shards "$T/m.tsv" --split val --root "$T/p" --out "$T/t2" --fit-temperature --no-report 2>/dev/null
awk 'NR == 2 { exit !($1 > 0.999 && $1 < 1.001) }' "$T/t2/temperature.tsv"
ok $? "a second fit finds nothing left to do"
awk -F'\t' '$1 == "nll" && $2 == "T=1" { print $3 }' "$T/t2/metrics.tsv" >"$T/after"
awk -F'\t' '$1 == "nll" && $2 == "T fitted" { print $3 }' "$T/t/metrics.tsv" >"$T/wanted"
paste "$T/after" "$T/wanted" | awk '{ d = $1 - $2; exit !(d < 1e-5 && d > -1e-5) }'
ok $? "predictions are now as good as the fit promised"
# What is exported is calibrated: softmax(z/T) of the unfitted model's logits, by the stored temperature and folded into the last layer alike.
"$BIN/export" --model "$model" --to tfjs --fold-temperature -o "$T/folded" >/dev/null 2>"$T/err"
ok $? "export --fold-temperature $(head -c 200 "$T/err")"
grep -q '"temperature": *1[,}]' "$T/folded/model.json" || ! grep -q '"temperature"' "$T/folded/model.json"
ok $? "the folded model has no temperature of its own left"
for m in tests/fixtures/tiny-net/tfjs-float32 "$model" "$T/folded"; do "$BIN/classify" --model "$m" "$T"/p/?.png -o "$T/c-$(basename "$m").tsv"; done
python3 - "$fitted" "$T/c-tfjs-float32.tsv" "$T/c-model.tsv" "$T/c-folded.tsv" <<'P'
import math, sys
T = float(sys.argv[1])
def read(f):
    lines = open(f).read().split("\n")
    names = lines[0].split("\t")
    return [[float(v) for n, v in zip(names, l.split("\t")) if n.startswith("p_")] for l in lines[1:] if l]
plain, stored, folded = map(read, sys.argv[2:])
assert len(plain) == 10 and abs(T - 1) > 0.01
for p, a, b in zip(plain, stored, folded):
    z = [math.log(max(x, 1e-300)) / T for x in p]       # logits but for a constant
    e = [math.exp(x - max(z)) for x in z]
    want = [x / sum(e) for x in e]
    assert all(abs(x - w) < 2e-6 for x, w in zip(a, want)), (a, want)       # floats of p, to the power 1/T
    assert all(abs(x - w) < 2e-6 for x, w in zip(b, want)), (b, want)
assert any(abs(x - y) > 1e-3 for p, a in zip(plain, stored) for x, y in zip(p, a))
P
ok $? "stored or folded, probabilities are softmax(z/T)"
sed '2s/class_[0-9]/zebra/' "$T/m.tsv" >"$T/zebra.tsv"
must_fail 65 "label 'zebra' is unknown to the model" "label 'zebra' is unknown to the model" "$BIN/eval" --model "$model" --shards "$T/zebra.tsv" --split all --root "$T/p" --out "$T/x"
must_fail 65 "no picture of the split 'train'" "no picture of the split 'train'" "$BIN/eval" --model "$model" --shards "$T/m.tsv" --split train --root "$T/p" --out "$T/x"
must_fail 64 "--split takes train, val, test or all" "a split that is not there" "$BIN/eval" --model "$model" --shards "$T/m.tsv" --split dev --root "$T/p" --out "$T/x"
must_fail 66 nowhere "a model that is not there" "$BIN/eval" --model "$T/nowhere" --shards "$T/m.tsv" --root "$T/p" --out "$T/x"
must_fail 66 nowhere.tsv "a manifest that is not there" "$BIN/eval" --model "$model" --shards "$T/nowhere.tsv" --root "$T/p" --out "$T/x"
printf 'path\tlabel\n../x.png\tclass_3\n' >"$T/out-of-root.tsv"
must_fail 65 "row 1" "row 1" "$BIN/eval" --model "$model" --shards "$T/out-of-root.tsv" --root "$T/p" --out "$T/x"
"$BIN/eval" --model "$model" --shards "$T/m.tsv" --split test --root "$T/p" --out "$T/plain" && grep -q 'data:image' "$T/plain/report.html" &&
    "$BIN/eval" --model "$model" --shards "$T/m.tsv" --split test --root "$T/p" --no-thumbnails --out "$T/bare" && ! grep -q 'data:image' "$T/bare/report.html"
ok $? "--no-thumbnails: a report without pictures"

# --memory: the same model computes new pictures only, and the rows are the same.
grep -v 'broken\|	1$' "$T/m.tsv" >"$T/whole.tsv"
head -n 21 "$T/whole.tsv" >"$T/some.tsv"
side=$(grep -o '"batch_input_shape":[^]]*' "$model/model.json" | grep -o '[0-9]\+' | head -1)
for s in some whole; do "$BIN/pack" --root "$T/p" --size "$side" -o "$T/shards-$s" "$T/$s.tsv" 2>"$T/err"; done
scored() { # SET [OPTION]...: how many were computed and remembered; its rows in $T/m/predictions.tsv
    local set=$1
    shift
    "$BIN/eval" -v --model "$model" --shards "$T/shards-$set" --split all --no-report --out "$T/m" --memory "$T/kept/scored.tsv" "$@" 2>"$T/err"
    sed -n 's/^eval: \([0-9]*\) pictures computed, \([0-9]*\) remembered$/\1 \2/p' "$T/err"
}
for batch in 0 5; do "$BIN/eval" --model "$model" --shards "$T/shards-whole" --split all --no-report --batch $batch --out "$T/w$batch" 2>"$T/err"; done
same() { cmp "$T/m/predictions.tsv" "$T/w0/predictions.tsv" && cmp "$T/m/metrics.tsv" "$T/w0/metrics.tsv"; }
is "$(scored some) $(scored some)" "20 0 0 20" "a model is asked once about each picture"
is "$(scored whole --batch 5)" "4 20" "and then about the new ones"
same && cmp "$T/w0/predictions.tsv" "$T/w5/predictions.tsv"
ok $? "the rows are those of a run that remembers nothing"
"$BIN/pack" --root "$T/p" --size "$side" --resize area -o "$T/shards-other" "$T/whole.tsv" 2>"$T/err"
is "$(scored other)" "24 0" "pictures packed in another way are computed again"
is "$(scored whole) $(scored whole)" "24 0 0 24" "what was said last counts"
cp "$T/kept/scored.tsv" "$T/good.tsv"
truncate -s -20 "$T/kept/scored.tsv"
is "$(scored whole)" "1 23" "a torn tail costs its picture"
awk -F'\t' -v OFS='\t' 'NR == 2 { sub(/0\.[0-9]/, "0.5", $5) } { print }' "$T/good.tsv" >"$T/kept/scored.tsv"
rm -rf "$T/m" && scored whole >/dev/null && same
ok $? "an edited line is not believed"
sed '1s/check/sum/' "$T/good.tsv" >"$T/kept/scored.tsv"
is "$(scored whole)" "" "a file of another kind"
grep -q "^eval: every picture is computed: .*scored.tsv' is not a memory of pictures that this version reads: delete it" "$T/err" && same
ok $? "is said and left alone"
cp "$T/good.tsv" "$T/kept/scored.tsv"
(exec 9>>"$T/kept/scored.tsv.lock" && flock 9 && rm -rf "$T/m" && scored whole >/dev/null; grep -q '^eval: every picture is computed: ' "$T/err") && same
ok $? "two at once: the second says so and has the same rows"
sed 's/"temperature": *[0-9.e+-]*/"temperature":1.5/' "$model/model.json" >"$T/model.json" && cp "$T/model.json" "$model/model.json"
is "$(scored whole)" "24 0" "another model is asked anew"
must_fail 64 "needs --model and --shards" "--memory without a model" "$BIN/eval" --predictions "$T/w0/predictions.tsv" --memory "$T/kept/scored.tsv" --out "$T/x"
must_fail 64 "needs a shard set" "--memory with a manifest" "$BIN/eval" --model "$model" --shards "$T/m.tsv" --root "$T/p" --memory "$T/kept/scored.tsv" --out "$T/x"
done_testing
