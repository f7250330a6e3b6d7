#!/usr/bin/env bash
# feature-dedup: recall per alteration beside PDQ, false pairs, the join, verification. Each bar beside its figure.
# usage: feature-dedup.sh     BASE=mobilenet_v2 EACH=180 (originals of each of three sources) SIZES="100000 300000" (vectors of the join)
#        FIT=640 (pictures of the demo that the reduction is fitted on) CACHE=FOLDER (of packages, default: cache)
#        NEIGHBOURS=40 (the program's default is 32; here each picture has twelve copies, and each of those is a neighbour)
#        WORK=FOLDER (kept: a second run takes pictures and features from it, and verifies anew)
# Measured are pictures of Debian packages on which no limit of feature-dedup was chosen: feature_packages.tsv, feature_pictures.tsv. The
# reduction is fitted on pictures of the demo. Charts are there as other pictures only. The first run fetches 740 MB. On two quiet cores some
# 5 minutes with mobilenet_v2, 30 with inception_v3. Needs Pillow. Never fails.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
bin=${BIN:-$top/bin}
case $bin in /*) ;; *) bin=$top/$bin ;; esac
. "$top/tests/bench/thresholds.sh"
if [ -n "${WORK:-}" ]; then
    mkdir -p "$WORK" && work=$(cd "$WORK" && pwd) || exit 73
else
    work=$(mktemp -d "${TMPDIR:-/tmp}/winnow-bench-XXXXXX") || exit 73
    trap 'rm -rf "$work"' EXIT
fi
cache=${CACHE:-$top/cache} base=${BASE:-mobilenet_v2} each=${EACH:-180}
case $base in /*) ;; *) [ -d "$top/models/base/$base" ] && base=$top/models/base/$base ;; esac
[ -f "$base/model.json" ] || { echo "no base '$base': make base-weights brings it"; exit 0; }
export PATH=$bin:$PATH
"$top/pipelines/demo/packages" "$cache/demo" && "$top/pipelines/demo/packages" "$cache/copies" "$top/tests/bench/feature_packages.tsv" || exit 0
cache=$(cd "$cache" && pwd)
cd "$work" || exit 66
root=${BUILD:-build/release}/lib
case $root in /*) ;; *) root=$top/$root ;; esac
${CC:-cc} -O2 -std=gnu11 -I"$top/lib" -o bench "$top/tests/bench/feature_bench.c" -Wl,--start-group "$root"/{vector,image,manifest,cli,hash,io,base}/area.a \
    "$root"/image/*/area.a -Wl,--end-group -ldl -lxxhash -ljpeg -lpng -lwebp -lwebpdemux -lgif -lseccomp -lz -lm -pthread $(for l in libavif libheif libde265 libjxl lcms2; do pkg-config --libs $l 2>/dev/null; done) || exit 0
machine
echo "== pictures: $(basename "$base"), at most $each originals of each source =="
# One picture of each group of near ones, in the order of their content. kind: of a picture's path
distinct() { (cd "$1" && scan -q . 2>/dev/null | phash-dedup -q --dihedral --on-conflict keep-first) >distinct.tsv; }
dealt() {
    awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } !($at["group"] in seen) { seen[$at["group"]] = 1; print $at["xxh128"] "\t" $at["path"] }' distinct.tsv |
        sort | cut -f2
}
if [ ! -d fit ]; then
    [ -f web/truth.tsv ] || demo-corpus -q --packages "$cache/demo/unpacked" --sources "$top/pipelines/demo/sources.tsv" --side 320 --wrong-labels 0 --exact-copies 0 \
        --near-copies 0 --cross-copies 0 --altered-copies 0 --dead-links 0 --broken 0 --out web 2>/dev/null
    distinct web/www
    mkdir fit.new && dealt | head -n "${FIT:-640}" | (cd web/www && xargs -d '\n' cp --backup=numbered -t "$work/fit.new") && mv fit.new fit
fi
if [ ! -d measured ]; then
    /usr/bin/python3 "$top/tests/bench/feature_pictures.py" "$top/tests/bench/feature_pictures.tsv" "$cache/copies/unpacked" found 320 $((each * 3 / 2)) || exit 0
    distinct found
    mkdir measured.new others.new
    dealt | awk -v each="$each" '{ kind = $0; sub(/-.*/, "", kind); if (n[kind]++ < each) print (kind == "charts" ? "others" : "measured") "\t" $0 }' |
        while IFS=$'\t' read -r to from; do cp "found/$from" "$to.new/"; done
    mv others.new others && mv measured.new measured
fi
if [ ! -f copies.tsv ]; then
    rm -rf copies
    PART=0/2 /usr/bin/python3 "$top/tests/bench/alter_pictures.py" copies measured copies &
    PART=1/2 /usr/bin/python3 "$top/tests/bench/alter_pictures.py" copies measured copies
    wait
    for f in others/*.jpg; do f=${f#*/} && cp "others/$f" "copies/${f%.jpg}__plain.jpg"; done
    scan -q copies >copies.tsv 2>/dev/null
fi
[ -f fit.tsv ] || scan -q fit >fit.tsv 2>/dev/null
echo "== every copy beside its original, whatever the vectors say: share verified, % =="
./bench copies copies
echo "originals: $(cd measured && ls | sed 's/-.*//' | sort | uniq -c | tr -s ' \n' ' '), other pictures: $(ls others | wc -l), with alterations $(($(wc -l <copies.tsv) - 1)); fitted on $(ls fit | wc -l) others"
[ -f fitted/info.tsv ] || embed --base "$base" --cache features --reduce sqrt,pca:64,whiten:0.5 -o fitted fit.tsv || exit 0
[ -f vectors/info.tsv ] || embed --base "$base" --cache features --fit fitted/reduce.fit -o vectors copies.tsv || exit 0
[ -f hashes.tsv ] || phash-dedup -q --hash-only copies.tsv >hashes.tsv

echo "== recall per alteration, %, and pairs of different pictures =="
./bench pairs vectors . "${NEIGHBOURS:-40}" 450 >pairs.tsv 2>said
python3 "$top/tests/bench/feature_recall.py" pairs.tsv hashes.tsv "$top/tests/bench/same_pictures.tsv" | tee table
cat said
for want in "caption bar:97" "crop 10 %:97" "crop 5 % one side:97" "turn 2 deg:97" "turn 5 deg:97" "crop 20 %:85" "mirror:90" "border 10 %:80" "patch 20 %:80"; do
    bar "${want%:*}: found, %" "$(awk -F'  +' -v a="${want%:*}" '$1 == a { print $2 }' table)" '>=' "${want#*:}"
done
bar "pairs of different pictures that could have been joined, millions" "$(sed -n 's/^different pairs: \([0-9.]*\) million.*/\1/p' table)" '>=' 10
bar "of which joined falsely" "$(sed -n 's/^joined: .* \([0-9]*\) of different pictures$/\1/p' table)" '<=' 0
bar "pairs verified a second" "$(sed -n 's/.* pairs, \([0-9]*\) a second,.*/\1/p' said)" '>=' 2000

machine
echo "== all pairs of made vectors within 450, beside brute force over some rows =="
for n in ${SIZES:-100000 300000}; do ./bench join "$n" | tee joined; done
bar "the last: seconds" "$(sed -n 's/.* pairs, \([0-9.]*\) s,.*/\1/p' joined)" '<=' 60
bar "MB" "$(sed -n 's/.*, \([0-9]*\) MB;.*/\1/p' joined)" '<=' 1000
