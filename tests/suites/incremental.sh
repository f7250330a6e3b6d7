#!/usr/bin/env bash
# What is new costs what is new: a data set that grew, shrank or was relabelled step by step has the bytes of one that was made at
# once, whatever was remembered, damaged or interrupted on the way; and only what is new is looked at.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
work=$TMPDIR/incremental
evidence "$work/make.log"
mkdir -p "$work/web/www" "$work/lists"
export BIN
unset MAKEFLAGS MAKELEVEL

python3 tests/tools/make_pictures.py "$work/pictures" 16 5
for label in stripes discs noise; do
    for f in "$work/pictures/$label"/*.png; do cp "$f" "$work/web/www/$label-$(basename "$f")"; done
done
cp "$work/web/www/stripes-003.png" "$work/web/www/copy.png"      # under another label: a conflict
head -c 300 "$work/web/www/noise-002.png" >"$work/web/www/torn.png"
port=$(free_port)
pipelines/demo/serve start "$work/web" "$port" || { ok 1 "the web server starts"; done_testing; }
trap 'pipelines/demo/serve stop "$work/web"' EXIT
list() { # LABEL FILE...: these are its list
    local label=$1
    shift
    printf "http://127.0.0.1:$port/%s\n" "$@" >"$work/lists/$label.txt"
}
conf() { # RUN: $work/RUN.conf
    {
        printf 'include $(PIPELINES)/default.conf\nNAME = inc\nRUN = %s\nSOURCES = %s\n' "$work/$1" "$work/lists"
        echo 'FETCH_FLAGS = --allow-private --per-host 8 --rate 0 --ignore-robots'
        printf 'VALIDATE_FLAGS = --min-bytes 100\nSPLIT_FLAGS = --val 0.2 --test 0.2\nAUGMENT_FLAGS = --spec flip\nSIDE = 16\n'
        echo 'FEATURE_DEDUP = off'
    } >"$work/$1.conf"
}
go() { # RUN [ARGUMENT]...: make dataset with $work/RUN.conf
    local run=$1
    shift
    make -s --no-print-directory BUILD="$BUILD" BIN="$BIN" SETTINGS="$work/$run.conf" "$@" dataset >"$work/make.log" 2>&1
}
changed() { sleep 1.1; }    # make compares whole seconds on some file systems
# What a run holds that must not depend on how it came about. The shard files may differ: the data hash may not.
manifests() { # RUN
    (cd "$work/$1" && r=round-$(cat round 2>/dev/null || echo 1) && sha256sum valid.tsv validate.rejects.tsv "$r"/*.tsv && grep '^data_hash\|^class' "$r/shards/index.tsv")
}
# The same pictures made into a data set at once, in a run that remembers nothing.
equals_whole() { # RUN TEXT
    rm -rf "$work/whole"
    mkdir "$work/whole"
    cp -r "$work/$1/store" "$work/whole/"
    cp "$work/$1/decisions.tsv" "$work/$1/round" "$work/whole/" 2>/dev/null
    sed "s,^RUN = .*,RUN = $work/whole," "$work/$1.conf" >"$work/whole.conf"
    go whole
    manifests "$1" >"$work/got.sums"
    manifests whole >"$work/whole.sums"
    grep -q data_hash "$work/whole.sums" && "$BIN/pack" --check "$work/$1/round-$(cat "$work/$1/round" 2>/dev/null || echo 1)/shards" 2>>"$work/make.log" &&
        cmp -s "$work/got.sums" "$work/whole.sums"
    ok $? "$2$(diff "$work/got.sums" "$work/whole.sums" | awk '/^</ { print " " $3 }' | tr '\n' ' ')"
}
list stripes stripes-0{00..11}.png torn.png
list discs discs-0{00..12}.png copy.png
list noise noise-0{00..12}.png
conf run

go run
ok $? "the first run goes through"
equals_whole run "it is what it is"

# --- the memory ---------------------------------------------------------------------------------------------------------------
looked_at() { # how many pictures validate looks at, with the pipeline's options
    "$BIN/validate" -v --root "$work/run" --markers obey --min-bytes 100 --with pdq --memory "$work/run/memory.tsv" --rejects "$work/r.tsv" -o "$work/v.tsv" "$work/run/fetched.tsv" 2>&1 |
        sed -n 's/.*validate: \([0-9]*\) pictures looked at.*/\1/p'
}
is "$(looked_at)" 0 "nothing changed: validate looks at no picture"
before=$(stat -c %i "$work/run/round-1/shards/shard-00000.bin")
find "$work/run/augmented" -type f -printf '%p %T@\n' | sort >"$work/made-before"
why() { make "$@" --no-print-directory BUILD="$BUILD" BIN="$BIN" SETTINGS="$work/run.conf" dataset 2>&1 | grep '^why: ' | sed "s,$work/run/,,g"; }
is "$(why -n)" "" "make -n: nothing would run"
list noise noise-0{00..13}.png
changed
touch "$work/lists/noise.txt"
has "$(why -n | tr '\n' ';')" "why: fetched.tsv: newer than it: lists.tsv;why: valid.tsv: newer than it: fetched.tsv;" "make -n: says what would run, and why"
is "$(why --dry-run | wc -l) $(find "$work/run/augmented" -type f -printf '%p %T@\n' | sort | cmp - "$work/made-before" && rows "$work/run/fetched.tsv")" "10 $(rows "$work/run/fetched.tsv")" "for every step, and runs none"
# What comes after the data set says so, too.
later() { make -n --no-print-directory BUILD="$BUILD" BIN="$BIN" SETTINGS="$work/run.conf" BASE="$TOP/tests/fixtures/tiny-net/tfjs-float32" "$@" 2>&1 | sed -n "s,^why: $work/run/round-1/,,p"; }
is "$(later train audit | cut -d: -f1 | sort | grep -c '^audit.tsv\|^exports\|^fine/model\|^head/model\|^measured.tsv\|^report.html\|^suspects.tsv')" 7 "make -n train audit: says what would run after it"
has "$(later train)" "report.html: not there yet" "and why"
go run
ok $? "a URL more"
make -s --no-print-directory BUILD="$BUILD" BIN="$BIN" SETTINGS="$work/run.conf" audit >"$work/make.log" 2>&1 && [ -s "$work/run/round-1/audit.tsv" ] &&
    "$BIN/validate" -v --root "$work/run" --min-bytes 0 --min-side 1 --with stats --memory "$work/run/measured.memory.tsv" -o "$work/v.tsv" "$work/run/round-1/split.tsv" 2>&1 | grep -q 'validate: 0 pictures looked at' &&
    cmp -s "$work/v.tsv" "$work/run/round-1/measured.tsv"
ok $? "make audit remembers what it measured"
rm -f "$work/run/round-1/"{audit,measured,facts}.tsv "$work/run/round-1/audit.html"
go run
find "$work/run/augmented" -type f -printf '%p %T@\n' | sort | comm -13 "$work/made-before" - >"$work/made"
[ "$(wc -l <"$work/made")" -le 1 ] && [ "$(wc -l <"$work/made-before")" -gt 10 ]
ok $? "of $(wc -l <"$work/made-before") variants none was made again"
equals_whole run "the data set is that of a run from nothing"
is "$(stat -c %i "$work/run/round-1/shards/shard-00000.bin") $(ls "$work/run/round-1/shards" | grep -c '\.bin$') $(rows "$work/run/round-1/shards/shard-00001.tsv")" "$before 2 2" "its shard file stays, the new picture and its variant are in another"
is "$(tail -n +2 "$work/run/memory.tsv" | cut -f1 | sort | uniq -d | wc -l)" 1 "no picture was looked at twice, but for the two copies of the first run"
list stripes stripes-0{02..11}.png stripes-013.png torn.png
changed
touch "$work/lists/stripes.txt"
go run
equals_whole run "URLs that went and came: the same"

cp "$work/run/memory.tsv" "$work/good.tsv"
redo() { rm -f "$work/run/valid.tsv" && go run; } # TEXT
truncate -s -30 "$work/run/memory.tsv"
is "$(looked_at)" 1 "a torn tail: its picture alone is looked at again"
awk -F'\t' -v OFS='\t' 'NR == 3 { sub(/png/, "gif", $5) } { print }' "$work/good.tsv" >"$work/run/memory.tsv"
is "$(looked_at)" 1 "an edited line counts as not there"
sed '1s/check/sum/' "$work/good.tsv" >"$work/run/memory.tsv"
redo
grep -q "every picture is looked at: .*memory.tsv' is not a memory of pictures that this version reads: delete it" "$work/make.log"
ok $? "a memory of another format: one line says so"
equals_whole run "and the result is the same"
cp "$work/good.tsv" "$work/run/memory.tsv"
sed 's/^VALIDATE_FLAGS = .*/VALIDATE_FLAGS = --min-bytes 100 --min-side 60/' "$work/run.conf" >"$work/c" && mv "$work/c" "$work/run.conf"
redo
equals_whole run "a changed option: every picture is asked again"
sed 's/^VALIDATE_FLAGS = .*/VALIDATE_FLAGS = --min-bytes 100/' "$work/run.conf" >"$work/c" && mv "$work/c" "$work/run.conf"
redo
victim=$(head -n 1 "$work/made-before" | cut -d' ' -f1)
cp "$victim" "$work/kept" && : >"$victim" && rm "$work/run/round-1/augmented.tsv" && go run && cmp -s "$victim" "$work/kept"
ok $? "a variant whose file was cut off is made again"
equals_whole run "and the rows are the same"
# A file that is gone, or has another size than the manifest's content had, is looked at.
one=$(sed -n 's/.*\(store\/objects[^\t]*\).*/\1/p' "$work/run/fetched.tsv" | head -n 1)
mv "$work/run/$one" "$work/kept" && is "$(looked_at) $(cut -f1-99 "$work/r.tsv" | grep -c not-found)" "1 1" "an object that is gone is missed"
echo >"$work/run/$one" && is "$(looked_at)" 1 "one that changed under its name is looked at"
rm -f "$work/run/$one" && mv "$work/kept" "$work/run/$one"
# Another picture of the same size under the name: it is looked at, in every run as in a run that remembers nothing.
cp -a "$work/run/$one" "$work/kept" && cp -a "$work/run/memory.tsv" "$work/kept.tsv"
sed -i '1s/ /\x00/;s/\x00\x00\x00\x0dIHDR/\x00\x00\x00\x0dIHDX/' "$work/run/$one"
is "$(stat -c %s "$work/run/$one") $(looked_at) $(cut -f1-99 "$work/r.tsv" | grep -c decode-corrupt)" "$(stat -c %s "$work/kept") 1 1" "one that changed and kept its size is looked at"
is "$(looked_at) $(cut -f1-99 "$work/r.tsv" | grep -c decode-corrupt)" "1 1" "and is not believed in the next run either"
"$BIN/validate" --root "$work/run" --markers obey --min-bytes 100 --with pdq --memory "$work/run/memory.tsv" --rejects "$work/r.tsv" -o "$work/v.tsv" "$work/run/fetched.tsv" 2>"$work/said"
grep -q '^validate: 1 files are not what xxh128 of their rows says' "$work/said"
ok $? "which a line says"
rm "$work/run/$one" && mv "$work/kept" "$work/run/$one" && is "$(looked_at) $(looked_at)" "1 0" "when the old one is back, it is looked at once"
mv "$work/kept.tsv" "$work/run/memory.tsv"
(
    exec 9>>"$work/run/memory.tsv.lock"
    flock 9
    "$BIN/validate" --root "$work/run" --markers obey --min-bytes 100 --with pdq --memory "$work/run/memory.tsv" -o "$work/v2.tsv" "$work/run/fetched.tsv" 2>"$work/said"
    grep -q '^validate: every picture is looked at: .*memory.tsv.lock' "$work/said"
) && cmp -s "$work/v2.tsv" "$work/run/valid.tsv"
ok $? "two runs at once: the second says so and has the same result"
if [ -w /dev/full ]; then
    (
        ulimit -f 4
        trap '' XFSZ
        rm -f "$work/small.tsv"
        "$BIN/validate" --root "$work/run" --markers obey --min-bytes 100 --with pdq --memory "$work/small.tsv" "$work/run/fetched.tsv" 2>"$work/said" | cmp -s - "$work/run/valid.tsv" &&
            grep -q 'the next run looks at these pictures again: ' "$work/said"
    )
    ok $? "a disk without room for the memory: said, and the result is the same ($(cat "$work/said"))"
fi

# --- a round: labels and splits live in the table of rows alone ------------------------------------------------------------------
picked=$(awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } $at["label"] == "stripes" && $at["split"] == "train" { print $at["xxh128"]; exit }' "$work/run/round-1/split.tsv")
printf 'id\tdecision\tlabel\treviewer\tdate\n%s\trelabel\tdiscs\ttest\t2026-01-01\n' "$picked" >"$work/run/decisions.tsv"
echo 2 >"$work/run/round"
go run
equals_whole run "a picture relabelled, in a new round: that of a run from nothing"
[ "$(cd "$work/run/round-1/shards" && stat -c %i ./*.bin)" = "$(cd "$work/run/round-2/shards" && stat -c %i ./*.bin)" ]
ok $? "and no pixel was written for it: the rounds share their files"
tiny=tests/fixtures/tiny-net/tfjs-float32
for r in run whole; do
    "$BIN/train" --device ref --threads 2 --shards "$work/$r/round-2/shards" --base "$tiny" --phase head --epochs 3 --folds 2 --cache "$work/$r/cache" --out "$work/$r/head" 2>>"$work/make.log" &&
        "$BIN/train" --device ref --threads 2 --shards "$work/$r/round-2/shards" --base "$work/$r/head/model" --phase fine-tune --unlock-from c1 --epochs 2 --augment flip --out "$work/$r/fine" 2>>"$work/make.log"
    ok $? "a model is trained on $r"
done
diff -r "$work/run/head/model" "$work/whole/head/model" >"$work/make.log" && diff -r "$work/run/fine/model" "$work/whole/fine/model" >"$work/make.log" && cmp "$work/run/head/oof.tsv" "$work/whole/head/oof.tsv"
ok $? "it equals the one of a set packed whole, byte for byte"
rm -rf "$work/run/cache" "$work/run/head" "$work/run/fine"

# --- JPEG records -----------------------------------------------------------------------------------------------------------------
cp -r "$work/run" "$work/jpeg"
sed "s,^RUN = .*,RUN = $work/jpeg," "$work/run.conf" >"$work/jpeg.conf"
echo 'ENCODING = jpeg' >>"$work/jpeg.conf"
rm "$work/jpeg/round-2/augmented.tsv"
go jpeg
grep -q 'every picture is decoded' "$work/make.log"
ok $? "another encoding: everything is packed anew, which is said"
equals_whole jpeg "as from nothing"
list discs discs-0{00..13}.png copy.png
changed
touch "$work/lists/discs.txt"
go jpeg
equals_whole jpeg "and what comes then is added to it"
[ "$(ls "$work/jpeg/round-2/shards" | grep -c 'bin$')" = 2 ]
ok $? "in a file of its own"

# --- damage, kills ------------------------------------------------------------------------------------------------------------
truncate -s -100 "$work/run/round-2/shards/shard-rows.tsv"
go run
grep -q "pack: every picture is decoded: '.*shard-rows.tsv' is not the file that index.tsv lists" "$work/make.log"
ok $? "a damaged set: one line says that everything is decoded"
equals_whole run "and the result is the same"
RANDOM=7
for kill in $(seq "${KILLS:-8}"); do
    case $((kill % 4)) in
    0) list noise noise-0{00..13}.png ;;
    1) list noise noise-0{02..15}.png ;;
    2) list stripes stripes-0{00..09}.png torn.png ;;
    3) list stripes stripes-0{03..15}.png torn.png ;;
    esac
    changed
    touch "$work/lists/noise.txt" "$work/lists/stripes.txt"
    setsid make -s --no-print-directory BUILD="$BUILD" BIN="$BIN" SETTINGS="$work/run.conf" dataset >"$work/killed.log" 2>&1 &
    pid=$!
    sleep "0.$((RANDOM % 900 + 50))"
    kill -9 -- -$pid 2>/dev/null
    wait $pid 2>/dev/null
done
go run
ok $? "killed ${KILLS:-8} times in the middle of changes, then finished"
equals_whole run "the data set is that of a run from nothing"
[ -z "$(find "$work/run" -name '*.tmp' -o -name '*.new-*' | head -1)" ]
ok $? "nothing half-done is left"

# --- taken down ----------------------------------------------------------------------------------------------------------------
victim=$(awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } $at["label"] == "noise" { print $at["xxh128"]; exit }' "$work/run/round-2/split.tsv")
printf 'torn' >>"$work/run/memory.tsv"
echo "$victim" >"$work/down"
"$BIN/fetch" --root "$work/run" --takedown "$work/down" 2>"$work/make.log" && "$BIN/purge" --store "$work/run/store" "$work/run" >"$work/purged" 2>>"$work/make.log" && go run
ok $? "a picture is taken down, and make dataset goes through"
grep -rq "$victim" "$work/run/memory.tsv" && ok 1 "the memory has forgotten it" || ok 0 "the memory has forgotten it"
[ "$(wc -l <"$work/run/memory.tsv")" -gt 30 ]
ok $? "and nothing else, although its tail was torn"
equals_whole run "without it: that of a run from nothing"
grep -q "^shard-records-removed	.*round-1/shards" "$work/purged" && grep -q "^shard-records-removed	.*round-2/shards" "$work/purged" && [ "$(grep -rl "$victim" "$work/run/round-1" "$work/run/round-2" | grep -vc 'rejects.tsv')" = 0 ]
ok $? "its records are gone from the shards of both rounds, and nothing else is"
done_testing
