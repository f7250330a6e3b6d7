#!/usr/bin/env bash
# The settings: one reader for make, nightly and Slurm; every spelling of a value; odd names end to end; what cannot be read stops before
# anything runs; lists that are taken away; decisions that are not right from end to end.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
work=$TMPDIR/settings
mkdir -p "$work"
export BIN
unset MAKEFLAGS MAKELEVEL
S=pipelines/settings
conf() { printf "include \$(PIPELINES)/default.conf\n$1\n" >"$work/a.conf"; }
get() { $S --get "$1" "$work/a.conf" 2>&1 | paste -sd'|'; }
make_() { make -s --no-print-directory BUILD="$BUILD" BIN="$BIN" "$@" >"$work/log" 2>&1; }

# --- one value, however it is written ---
for spelled in 'NAME = x' 'NAME=x   ' 'NAME = x   # remark' 'NAME = x\t' 'NAME := "x"' "NAME = 'x' # remark" 'NAME = x\r' 'A = x\nNAME = $(A)'; do
    conf "$spelled\nRUN = /data/\$(NAME)/run # here"
    is "$(get NAME,RUN)" 'x|/data/x/run' "NAME and RUN from: $(printf %q "$spelled")"
done
printf '\xef\xbb\xbfNAME = x\r\n' >"$work/a.conf"
is "$(get NAME,RUN)" 'x|runs/x' "a file with CR LF and a byte order mark, as Windows writes it"
conf 'NAME = x\nRUN = /scratch/$(USER)/$(NAME)'
is "$(USER=ann get RUN)" /scratch/ann/x "a variable of the environment in a path"
printf 'SOURCES = lists\n' >"$work/a.conf"
NAME=from-the-environment get NAME | grep -q 'NAME is empty'
ok $? "but NAME of the environment is not a setting: $(NAME=e get NAME)"
conf 'NAME = x'
is "$($S --get NAME,RUN "$work/a.conf" NAME=y | paste -sd'|')" 'y|runs/y' "make's KEY=VALUE goes before the file"
has "$($S --get FINE_FLAGS "$work/a.conf")" "--schedule exp:0.9" "nsfwjs' networks are fine-tuned as their publishers did"
has "$($S --get FINE_FLAGS "$work/a.conf" BASE=efficientnet_lite1)" "--freeze-bn --augment rotation=15,shift=0.1,zoom=0.2,flip" "those of ImageNet with small steps and other variants in each epoch"
gates() { conf "NAME = x\nGATES = $1"; $S --gates "$work/a.conf" 2>&1 | paste -sd'|'; }
for spelled in "'accuracy >= old - 0.1'" '"accuracy >= old - 0.1"' 'accuracy >= old - 0.1' "'accuracy >= old - 0.1' # remark" "'accuracy >= old - 0.1',"; do
    is "$(gates "$spelled")" 'accuracy >= old - 0.1' "one gate from: $spelled"
done
for spelled in "'accuracy >= 0.5' 'kappa no worse'" '"accuracy >= 0.5", "kappa no worse"' 'accuracy >= 0.5; kappa no worse'; do
    is "$(gates "$spelled")" 'accuracy >= 0.5|kappa no worse' "two gates from: $spelled"
done

# --- what cannot be read stops before anything runs, with file and line ---
refused() { # LINE PATTERN WHAT
    conf "NAME = x\n$1"
    said=$($S "$work/a.conf" 2>&1 >/dev/null)
    [ $? = 65 ] && grep -q "a.conf:3: .*$2" <<<"$said"
    ok $? "refused: $3: $said"
}
refused 'GATES = accuracy' 'after the metric' "a gate without a bound"
refused "GATES = 'accuracy >= 0.5' kappa >= 0.1" 'write each condition in quotes' "half of the gates in quotes"
refused "GATES = 'accuracy >= 0.5" 'GATES' "a quote that is not closed"
refused "GATES = 'accuracy > = 0.5'" 'bound' "a bound that is none"
refused "GATE = 'accuracy >= 0.5'" 'not a setting; GATES is' "a mistyped key"
refused "GATES: 'accuracy >= 0.5'" 'write GATES = value' "a colon in place of ="
refused 'min_new: 5' 'write MIN_NEW = value' "another"
conf "NAME = x\nGATES = 'accuracy >= 0.5'\nGATES = 'kappa no worse'"
$S --gates "$work/a.conf" 2>&1 | grep -q 'a.conf:4: GATES forgets the conditions of line 3'
ok $? "refused: gates in two lines, of which the second hides the first"
refused 'RUN =' 'is empty' "no folder"
refused 'RUN /tmp/x' 'expected KEY = value' "no ="
refused 'MIN_NEWS = 5' 'MIN_NEW is' "another"
refused 'MIN_NEW = many' 'whole number' "a count in words"
refused 'KEEP = -1' 'whole number' "a negative count"
refused 'SIDE = 299px' 'whole number' "a side with a unit"
refused 'SIDE = 0' 'from 1 to 4096' "no side"
refused 'AUGMENT_VARIANTS = 5000' 'from 0 to 1000' "more variants than augment makes"
refused 'FOLDS = 1' 'at least 2' "one fold"
refused 'EVAL_FLAGS = --view strict=a+b --gate accuracy >= 3' "bare '>'" "a sign of the shell in flags"
refused "MINE_FLAGS = --rank 'margin" 'not closed' "a quote that is not closed in flags"
refused 'FETCH_FLAGS = --per-hots 4' 'per-hots' "a flag that fetch lacks"
refused 'HEAD_FLAGS = --epochs x' 'epochs' "a number that train cannot read"
refused 'FINE_FLAGS = --schedule exp' 'schedule' "a schedule that train cannot read"
refused 'SPLIT_FLAGS = --val 1.5' 'val' "a share over 1"
refused 'EXPORTS = tfjs onx' 'onx' "an export that is none"
refused 'RESIZE = cubical' 'cubical' "a way to resize that is none"
refused 'PICTURE_FLAGS = --orientation exif' 'exif' "a rule of orientation that is none"
refused 'PICTURE_FLAGS = --size 3' 'size' "a flag that only pack has, for every step"
refused 'DEVICE = gpu' 'gpu' "a device that is none"
refused 'PAGES_FLAGS = --limit x' 'limit' "a flag of expand-pages"
refused 'CLASSES_CHANGED = maybe' 'hold, publish' "a choice that is none"
refused 'FOLD_ROWS = train' 'remove the line' "a setting that is gone"
refused 'NAME = a/b' 'without /' "a name that is a path"
is "$(gates "'accuracy >= 0.5'\nGATES += 'kappa no worse'")" 'accuracy >= 0.5|kappa no worse' "gates in two lines, added"
echo 'NAME = beside' >"$work/shared.conf"
conf 'include shared.conf'
is "$(get NAME)" beside "a file that is included lies beside the settings"
conf 'include no-such.conf'
is "$($S "$work/a.conf" 2>&1)" "settings: $work/a.conf:2: no-such.conf: No such file or directory" "one that is not there is named in one line"
mkdir -p "$work/torn"
conf "NAME = x\nRUN = $work/torn"
: >"$work/torn/round"
$S "$work/a.conf" 2>&1 | grep -q 'holds no number'
ok $? "a number of the round that a full disk swallowed: $($S "$work/a.conf" 2>&1 >/dev/null)"
printf 'NAME = x\nEVAL_FLAGS := $(\n' >"$work/a.conf"
$S "$work/a.conf" 2>&1 | grep -q 'a.conf:2: unterminated'
ok $? "refused by make itself: $($S "$work/a.conf" 2>&1)"
printf '\xff\xfeN\0A\0' >"$work/a.conf"
$S "$work/a.conf" 2>&1 | grep -q 'UTF-16'
ok $? "UTF-16 is named"
conf 'NAME = x\nMIN_NEW = many\nKEEP = few'
is "$($S "$work/a.conf" 2>&1 | wc -l)" 2 "all mistakes are told at once"
pipelines/cron/nightly "$work/a.conf" >"$work/log" 2>&1
is "$? $(grep -c 'a.conf:[34]' "$work/log")" '65 2' "nightly refuses them, too"
make_ SETTINGS="$work/nothing.conf" dataset
[ $? != 0 ] && [ "$(wc -l <"$work/log")" = 1 ] && grep -q 'no settings file.*default.conf' "$work/log"
ok $? "a settings file that is not there: one line, with the remedy: $(cat "$work/log")"
mkdir -p "$work/unmounted/cat"
conf "NAME = x\nRUN = $work/empty\nSOURCES =\nPICTURES = $work/unmounted"
make_ SETTINGS="$work/a.conf" dataset
[ $? != 0 ] && grep -q "without a single file: '$work/unmounted'" "$work/log"
ok $? "pictures of a disk that is not mounted are not taken for none: $(cat "$work/log")"
conf "NAME = x\nRUN = $work/empty\nSOURCES = $work/no-lists"
make_ SETTINGS="$work/a.conf" dataset
grep -q 'no lists of URLs: set SOURCES in .*a.conf' "$work/log"
ok $? "no lists: $(head -n 1 "$work/log")"

# --- the two commands people type first ---
is "$(make -n --no-print-directory BUILD="$BUILD" BIN="$BIN" dataset 2>&1 | tail -n 1)" "pipelines/demo/run dataset" "plain make dataset is the demo's"
is "$(make -n --no-print-directory BUILD="$BUILD" BIN="$BIN" train 2>&1 | tail -n 1)" "pipelines/demo/run train" "plain make train, too"
make_ round
has "$(cat "$work/log")" "which run? say SETTINGS=FILE" "plain make round asks for the run: $(head -n 1 "$work/log")"
make_ -f pipelines/installed.mk PIPELINES=elsewhere dataset
has "$(cat "$work/log")" "no settings: cp elsewhere/default.conf my.conf" "an installed winnow, which has no demo, says how to begin: $(head -n 1 "$work/log" | cut -c1-120)"
pipelines/demo/run pictures >"$work/log" 2>&1
is "$?" 64 "a step that the demo lacks"

# --- odd names, from the list to the shards ---
web=$work/web
mkdir -p "$web/www"
python3 tests/tools/make_pictures.py "$work/pictures" 12 5
port=$(free_port)
for kind in stripes discs noise; do for f in "$work/pictures/$kind"/*.png; do cp "$f" "$web/www/$kind-${f##*/}"; done; done
pipelines/demo/serve start "$web" "$port" || { ok 1 "the web server starts"; done_testing; }
trap 'pipelines/demo/serve stop "$web"' EXIT
list() { for f in "$web/www/$1"-*.png; do echo "http://127.0.0.1:$port/${f##*/}"; done; } # KIND
flow() { # SOURCES RUN
    cat >"$work/my settings #1.conf" <<C
include \$(PIPELINES)/default.conf
NAME = odd names # and a remark
SOURCES = $1
RUN = $2
FETCH_FLAGS = --allow-private --per-host 8 --rate 0 --ignore-robots --tries 1
VALIDATE_FLAGS = --min-bytes 100
AUGMENT_VARIANTS = 0
SIDE = 16
C
}
classes() { awk -F'\t' '$1 == "class" { print $2 }' "$1/round-1/shards/index.tsv" 2>/dev/null | paste -sd'|'; }
lists=$work/lists\ of\ it\'s
mkdir "$lists"
list stripes >"$lists/18+.txt"
list discs >"$lists/hot dog: \$1 #2.txt"
list noise >"$lists/it's 50%.txt"
flow "$lists" "$work/my run: 1"
make_ SETTINGS="$work/my settings #1.conf" dataset
ok $? "blanks, quotes and signs in SOURCES, RUN, NAME, SETTINGS and the lists' names: $(tail -n 1 "$work/log")"
is "$(classes "$work/my run: 1")" "18+|hot dog: \$1 #2|it's 50%" "the classes have those names"
make -s --no-print-directory BUILD="$BUILD" BIN="$BIN" SETTINGS="$work/my settings #1.conf" -q dataset
ok $? "and nothing is to be done again"
before=$(stat -c %y "$work/my run: 1/fetched.tsv")
make_ SETTINGS="$work/my settings.conf" DECISIONS_FROM=elsewhere.tsv SPARE=1 dataset
is "$(stat -c %y "$work/my run: 1/fetched.tsv")" "$before" "nor when make is told other things, as by make round"

# --- a list is renamed, taken away, replaced by an older one ---
mv "$lists/18+.txt" "$lists/a:b.txt"
make_ SETTINGS="$work/my settings #1.conf" dataset
is "$(classes "$work/my run: 1")" "a:b|hot dog: \$1 #2|it's 50%" "a list with another name is another class"
grep -q "list '.*18+.txt' is gone" "$work/log"
ok $? "which is said: $(grep gone "$work/log")"
list stripes | head -n 5 >"$work/older"
touch -d '2020-01-01' "$work/older"
cp -p "$work/older" "$lists/a:b.txt"
make_ SETTINGS="$work/my settings #1.conf" dataset
is "$(awk -F'\t' 'FNR == 1 { for (i = 1; i <= NF; i++) at[$i] = i } $at["label"] == "a:b"' "$work/my run: 1/fetched.tsv" | wc -l)" 5 "a list replaced by an older file is read"
rm "$lists/a:b.txt"
make_ SETTINGS="$work/my settings #1.conf" dataset
is "$(classes "$work/my run: 1")" "hot dog: \$1 #2|it's 50%" "a list that was deleted is not a class any more"
printf 'PICTURE_FLAGS = --background black --frame 2\n' >>"$work/my settings #1.conf"
make_ SETTINGS="$work/my settings #1.conf" dataset
is "$? $(awk -F'\t' '$1 == "background" || $1 == "made" { print $2 }' "$work/my run: 1/round-1/shards/index.tsv" | paste -sd' ')" "0 #000000 frame=2" "PICTURE_FLAGS reach the set $(tail -n 1 "$work/log")"

# --- decisions: right from end to end, or nothing changes ---
run=$work/rounds
mkdir -p "$run/round-1"
id=$(printf %032x 7) other=$(printf %032x 9)
printf 'path\tlabel\txxh128\na.png\tcat\t%s\nb.png\tdog\t%s\n' "$id" "$other" >"$run/valid.tsv"
head='id\tdecision\tlabel\treviewer\tdate'
good="$id\trelabel\tdog\tann\t2026-01-02"
stays() { # TEXT WHAT
    printf "$1" >"$work/d.tsv"
    pipelines/next-round "$run" 1 "$work/d.tsv" >"$work/log" 2>&1
    [ $? != 0 ] && [ ! -e "$run/round" ] && [ ! -e "$run/decisions.tsv" ] && [ ! -e "$run/round-1/decisions.tsv" ]
    ok $? "$2: refused, and nothing moved: $(head -n 1 "$work/log" | cut -c1-150)"
}
stays "$head\r\n$good\r\n" "CR LF"
stays "\xef\xbb\xbf$head\n$good\n" "a byte order mark"
stays "$head\n\"$id\"\trelabel\t\"dog\"\tann\t2026-01-02\n" "quoted fields"
is "$(tail -n 1 "$run/round-1/decisions.cleaned.tsv")" "$(printf "$good")" "their plain form lies beside, for a look"
stays "$head\n$good\n$other\trelabel\tcta\tann\t2026-01-02\n" "a mistyped label"
stays "$head\n$good\n$other\trelable\tcat\tann\t2026-01-02\n" "a mistyped decision"
stays "$head\n$good\n$other\trelabel" "a torn last row"
stays "$head\n$good\n$other\trelabel\n" "a short row"
stays "id\tlabel\n$id\tdog\n" "other columns"
stays "$head\n" "a header alone"
stays "$head\n$(printf %032x 5)\trelabel\tdog\tann\t2026-01-02\n" "nothing about this run's pictures"
stays "$head\na.png\tkeep\t\tann\t2026-01-02\n" "names in place of ids"
stays "$head\r$good\r" "line ends of an old Mac"
stays "${head//\\t/;}\n${good//\\t/;}\n" "semicolons"
pipelines/next-round "$run" 1 "$run/round-1/decisions.cleaned.tsv" >"$work/log" 2>&1
is "$? $(cat "$run/round") $(wc -l <"$run/decisions.tsv")" '0 2 2' "the plain form is taken, and round 2 is open"

printf "$head\n$other\tkeep\t\tAnn \"A\" Lee\t2026-01-03\n$(printf %032x 5)\tdrop\t\tann\t2026-01-03\n\n" >"$work/d.tsv"
mkdir -p "$run/round-2"
pipelines/next-round "$run" 2 "$work/d.tsv" >"$work/log" 2>&1
is "$? $(cat "$run/round") $(wc -l <"$run/decisions.tsv") $(grep -c '1 of the decisions' "$work/log")" '0 3 4 1' \
    "a quote within a name and a blank last line are allowed, and a picture that is gone is counted"

# --- Slurm reads the same, and a dead chain does not look like a waiting one ---
mkdir "$work/bin"
printf '#!/bin/sh\ncat >>"%s/jobs"\necho "$@" >>"%s/args"\necho 7\n' "$work" "$work" >"$work/bin/sbatch"
printf '#!/bin/sh\ncat "%s/queue" 2>/dev/null\n' "$work" >"$work/bin/squeue"
chmod +x "$work/bin/sbatch" "$work/bin/squeue"
export PATH=$work/bin:$PATH
flow "$lists" "$work/slurm \$(USER)/run  # remark"
USER=ann pipelines/slurm/submit "$work/my settings #1.conf" 2 >/dev/null 2>"$work/log"
[ -f "$work/slurm ann/run/slurm.jobs" ]
ok $? "submit puts its jobs where RUN is"
grep -q 'open-mode=append' "$work/args" && bash -n "$work/jobs"
ok $? "jobs append to their logs, and their scripts parse"
status() { USER=ann pipelines/slurm/status "$work/my settings #1.conf" >"$work/log" 2>&1; echo $?; }
printf 'winnow-x-fetch\tRUNNING\tNone\t7\t7\n' >"$work/queue"
is "$(status)" 1 "tasks wait or run: not yet"
tasks=$work/slurm\ ann/run/log/tasks
printf 'failed\t7\tstatus 2\n' >"$tasks/fetch-1"
mkdir -p "$work/slurm ann/run/log"
printf 'fetch: disk full\nmake: *** x\n' >"$work/slurm ann/run/log/slurm-fetch-7-1.log"
is "$(status) $(grep -c 'FAILED *fetch-1: status 2' "$work/log") $(grep -c 'disk full' "$work/log") $(grep -c 'submit again' "$work/log")" '2 1 1 1' \
    "a task failed: which, its log and last words, and what to do"
printf 'began\t8\t\n' >"$tasks/fetch-1"
is "$(status) $(grep -c 'node was lost' "$work/log")" '2 1' "a task that began, did not end and is not queued"
rm "$tasks/fetch-1" "$work/queue"
is "$(status) $(grep -c 'no task of this run is queued' "$work/log")" '2 1' "nothing queued and nothing made"
done_testing
