#!/usr/bin/env bash
# feature-dedup: recall per alteration beside PDQ, false pairs, the join, verification. Each bar beside its figure.
# usage: feature-dedup.sh     PACKAGES=FOLDER of unpacked demo packages (default: cache/demo/unpacked, which pipelines/demo/packages fills)
#        BASE=inception_v3 EACH=200 (originals of each of the three sources) SIZES="100000 300000" (vectors of the join)
#        FIT=100000 (most pictures that the reduction is fitted on)
#        NEIGHBOURS=64 (the program's default is 32; here each picture has twelve copies, and each of those is a neighbour)
# Pictures of the demo's packages: photographs, drawings and screenshots are measured, the reduction is fitted on others: charts, clipart and
# what is left of the three. On two quiet cores some 25 minutes with inception_v3, 3 with mobilenet_v2. Needs Pillow. Never fails.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
bin=${BIN:-$top/bin}
case $bin in /*) ;; *) bin=$top/$bin ;; esac
. "$top/tests/bench/thresholds.sh"
work=$(mktemp -d "${TMPDIR:-/tmp}/winnow-bench-XXXXXX") || exit 73
[ -n "${KEEP:-}" ] || trap 'rm -rf "$work"' EXIT
packages=${PACKAGES:-$top/cache/demo/unpacked} base=${BASE:-inception_v3} each=${EACH:-200}
case $base in /*) ;; *) [ -d "$top/models/base/$base" ] && base=$top/models/base/$base ;; esac
[ -d "$packages" ] || { echo "no '$packages': pipelines/demo/packages cache/demo brings the pictures"; exit 0; }
[ -f "$base/model.json" ] || { echo "no base '$base': make base-weights brings it"; exit 0; }
export PATH=$bin:$PATH
cd "$work" || exit 66
root=${BUILD:-build/release}/lib
case $root in /*) ;; *) root=$top/$root ;; esac
${CC:-cc} -O2 -std=gnu11 -I"$top/lib" -o bench "$top/tests/bench/feature_bench.c" -Wl,--start-group "$root"/{vector,image,manifest,cli,hash,io,base}/area.a \
    "$root"/image/*/area.a -Wl,--end-group -ldl -lxxhash -ljpeg -lpng -lwebp -lwebpdemux -lgif -lseccomp -lz -lm -pthread $(for l in libavif libheif libde265 libjxl lcms2; do pkg-config --libs $l 2>/dev/null; done) || exit 0
machine
echo "== pictures: $(basename "$base"), $each originals of each source =="
demo-corpus -q --packages "$packages" --sources "$top/pipelines/demo/sources.tsv" --side 320 --wrong-labels 0 --exact-copies 0 --near-copies 0 --cross-copies 0 \
    --altered-copies 0 --dead-links 0 --broken 0 --out web 2>/dev/null
(cd web/www && scan -q . 2>/dev/null | phash-dedup -q --dihedral --on-conflict keep-first >"$work/distinct.tsv")
# One picture of each group of near ones, dealt in the order of their content: EACH of three sources to measure, the rest to fit on.
mkdir measured fit copies
awk -F'\t' -v each="$each" '
    FNR == 1 { for (k in at) delete at[k]; for (i = 1; i <= NF; i++) at[$i] = i; file++; next }
    file == 1 { u = $at["url"]; sub(/.*:8137\//, "", u); label[u] = $at["label_true"]; next }
    !($at["group"] in seen) { seen[$at["group"]] = 1; l = label[$at["path"]]; print $at["xxh128"] "\t" l "\t" $at["path"] }' web/truth.tsv distinct.tsv | sort |
    awk -F'\t' -v each="$each" -v fit="${FIT:-100000}" '{ to = $2 ~ /^(neutral|drawings|screenshots)$/ && n[$2]++ < each ? "measured" : "fit"; if (to == "measured" || m++ < fit) print $3 "\t" to "/" $2 "-" substr($1, 1, 8) ".jpg" }' |
    while IFS=$'\t' read -r from to; do cp "web/www/$from" "$to"; done
/usr/bin/python3 "$top/tests/bench/alter_pictures.py" copies measured copies
scan -q fit >fit.tsv 2>/dev/null
scan -q copies >copies.tsv 2>/dev/null
echo "$(ls measured | wc -l) originals, $(($(wc -l <copies.tsv) - 1)) pictures with their alterations; fitted on $(ls fit | wc -l) others"
embed --base "$base" --cache cache --reduce sqrt,pca:64,whiten:0.5 -o fitted fit.tsv || exit 0
embed --base "$base" --cache cache --fit fitted/reduce.fit -o vectors copies.tsv || exit 0
phash-dedup -q --hash-only copies.tsv >hashes.tsv

echo "== recall per alteration, %, and pairs of different pictures =="
./bench pairs vectors . "${NEIGHBOURS:-64}" 450 >pairs.tsv 2>said
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
