#!/usr/bin/env bash
# A build without oneDNN, CUDA, MPI and three picture libraries works, says what was left out, and runs on the plain loops. (Compiled without optimisation: it is
# only asked whether it links and what it says.)
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
unset MAKEFLAGS MAKELEVEL
bare=$TMPDIR/bare
without=(BUILD="$bare" BIN="$bare/bin" OPT.release=-O0 HARDEN.release= 'OFF.tensor/cpu=built without oneDNN: no dnnl.h' 'OFF.tensor/cuda=no CUDA headers' 'OFF.dist/mpi=no OpenMPI'
    'OFF.image/avif=no libavif' 'OFF.image/colour=no lcms2' 'OFF.image/heic=no libheif' 'OFF.image/jxl=no libjxl' 'OFF.psl=no libpsl')
make -s "${without[@]}" config >"$TMPDIR/config" 2>&1
grep -q 'left out: tensor/cpu: built without oneDNN' "$TMPDIR/config" && grep -q 'left out: tensor/cuda: no CUDA headers' "$TMPDIR/config" &&
    grep -q 'left out: dist/mpi: no OpenMPI' "$TMPDIR/config" && grep -q 'left out: image/avif: no libavif' "$TMPDIR/config"
ok $? "make config says what is left out and why"
make -s -j2 "${without[@]}" "$bare/bin/train" "$bare/bin/classify" "$bare/bin/validate" "$bare/bin/report-sources" >"$TMPDIR/log" 2>&1
ok $? "train, classify and validate are built $(grep -iE 'error|undefined' "$TMPDIR/log" | head -2 | tr '\n' '|')"
"$bare/bin/train" --list-devices >"$TMPDIR/devices" 2>&1
grep -q "^ref	yes" "$TMPDIR/devices" && grep -q "^cpu	no	.*without oneDNN" "$TMPDIR/devices" && grep -q "^cuda	no" "$TMPDIR/devices"
ok $? "train --list-devices: ref alone, with the reasons: $(cut -c1-60 "$TMPDIR/devices" | tr '\n' '|')"
python3 tests/tools/make_pictures.py "$TMPDIR/p" 1 1
"$bare/bin/classify" --model tests/fixtures/tiny-net/tfjs-float32 --root "$TMPDIR" --allow-outside "$TMPDIR/p/noise/000.png" >"$TMPDIR/out" 2>"$TMPDIR/err"
ok $? "classify runs on it, --device auto $(head -1 "$TMPDIR/err")"
must_fail 69 'without oneDNN' "--device cpu says why not" \
    "$bare/bin/classify" --device cpu --model tests/fixtures/tiny-net/tfjs-float32 --allow-outside "$TMPDIR/p/noise/000.png"
must_fail 69 "started as one of several ranks.*built without MPI" "started by mpirun it says that it was built without MPI" \
    env OMPI_COMM_WORLD_SIZE=2 "$bare/bin/train" --shards x --base y --out "$TMPDIR/z"
printf 'path\navif/420.avif\nheic/420.heic\njxl/lossy.jxl\npng/rgb.png\n' | "$bare/bin/validate" --root tests/fuzz/corpus --min-bytes 0 --rejects "$TMPDIR/rejects" >"$TMPDIR/out" 2>/dev/null
[ "$(cut -f3,4 "$TMPDIR/rejects" | tail -n +2)" = "$(printf 'unsupported\tavif: built without libavif\nunsupported\theic: built without libheif\nunsupported\tjpeg xl: built without libjxl')" ] &&
    grep -q '^png/rgb.png' "$TMPDIR/out"
ok $? "pictures whose library was left out are rejected by name, others are not: $(cut -f4 "$TMPDIR/rejects" | tail -n +2 | tr '\n' '|')"
[ "$(printf 'path\turl\na.jpg\thttps://img.example.co.uk/x\n' | "$bare/bin/report-sources" /dev/stdin | awk -F'\t' '$1 == "domain" { print $2 }')" = example.co.uk ]
ok $? "without libpsl domains are cut by the short list"
"$BIN/train" --list-devices | grep -q '^cpu	yes'
ok $? "the usual build has the cpu device"
"$BIN/classify" --device cuda --model tests/fixtures/tiny-net/tfjs-float32 --allow-outside "$TMPDIR/p/noise/000.png" >/dev/null 2>"$TMPDIR/err"
status=$?
if "$BIN/train" --list-devices | grep -q '^cuda	yes'; then
    [ $status = 0 ]
    ok $? "--device cuda runs: there is a GPU here"
else
    [ $status = 69 ] && [ "$(wc -l <"$TMPDIR/err")" = 1 ]
    ok $? "--device cuda without a GPU: one line, status 69: $(head -1 "$TMPDIR/err")"
fi
done_testing
