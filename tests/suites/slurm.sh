#!/usr/bin/env bash
# The dataset pipeline as job arrays of a real slurmctld and slurmd, started here for one user on the loopback; a task is requeued in
# the middle. And the same recipe in parts under make -j. The manifests and the shards equal one plain run's, byte for byte
# (but for fetched_at, the time of download).
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
work=$TMPDIR/slurm
mkdir -p "$work/web/www" "$work/lists"
unset MAKEFLAGS MAKELEVEL
export BIN

python3 tests/tools/make_pictures.py "$work/pictures" 12 5
k=0
for label in stripes discs noise; do
    for f in "$work/pictures/$label"/*.png; do
        k=$((k + 1))
        cp "$f" "$work/web/www/$k.png"
        echo "$k.png" >>"$work/names-$label"
    done
done
cp "$work/web/www/3.png" "$work/web/www/copy.png"
head -c $(($(stat -c %s "$work/web/www/30.png") / 2)) "$work/web/www/30.png" >"$work/web/www/torn.png"
printf 'copy.png\ntorn.png\ndead.png\n' >>"$work/names-stripes"
port=$(free_port)
pipelines/demo/serve start "$work/web" "$port" || { ok 1 "the web server starts"; done_testing; }
daemons=
cleanup() {
    pipelines/demo/serve stop "$work/web"
    for d in $daemons; do
        [ -s "$d" ] || continue
        pid=$(cat "$d")
        kill "$pid" 2>/dev/null
        for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    done
}
trap cleanup EXIT
# Two names for the loopback, so that there are two hosts to part by.
for label in stripes discs noise; do
    awk -v port="$port" '{ print "http://" (NR % 2 ? "127.0.0.1" : "127.0.0.2") ":" port "/" $0 }' "$work/names-$label" >"$work/lists/$label.txt"
done
sed -i "s/listen 127.0.0.1:$port;/listen 127.0.0.1:$port; listen 127.0.0.2:$port;/" "$work/web/nginx.conf"
pipelines/demo/serve stop "$work/web"
nginx=$(command -v nginx || echo /usr/sbin/nginx)
for _ in $(seq 50); do      # the old one may hold the port a moment longer
    "$nginx" -c "$work/web/nginx.conf" -p "$work/web" -e "$work/web/error.log" 2>/dev/null && break
    sleep 0.2
done
conf() { # RUN
    cat <<CONF
include $TOP/pipelines/default.conf
NAME = slurm-test
RUN = $1
SOURCES = $work/lists
FETCH_FLAGS = --allow-private --per-host 8 --rate 12 --ignore-robots
VALIDATE_FLAGS = --min-bytes 100 --max-bytes 10M
SPLIT_FLAGS = --val 0.2 --test 0.2
AUGMENT_FLAGS = --spec flip,shift=0.1
SIDE = 16
DEVICE = cpu
BASE = $TOP/tests/fixtures/tiny-net/tfjs-float32
HEAD_FLAGS = --epochs 4 --batch 8 --lr 0.05 --threads 1 --boundary-cache f32 --unlock-from c1
FINE_FLAGS = --epochs 2 --batch 8 --lr 0.01 --threads 1 --boundary-cache f32 --unlock-from c1 --freeze-bn
FOLDS = 2
EXPORTS = tfjs
CONF
}
same() { # RUN [packed]: against the plain run; packed: its shards were made in several steps, so the files differ, but not what they hold
    local r
    for f in fetched.tsv fetch.rejects.tsv valid.tsv validate.rejects.tsv round-1/unique.tsv round-1/hash-dedup.rejects.tsv round-1/distinct.tsv \
        round-1/phash-dedup.rejects.tsv round-1/split.tsv round-1/augmented.tsv; do
        # The part-wise join reads hashes that are columns already, so its rejects carry them: compared without.
        for r in "$work/plain" "$1"; do
            awk -F'\t' -v OFS='\t' -v skip="$([ "$f" = round-1/phash-dedup.rejects.tsv ] && echo 'pdq|group')" '
                FNR == 1 { for (i = 1; i <= NF; i++) if ($i !~ "^fetched_at$" && (skip == "" || $i !~ "^(" skip ")")) keep[++n] = i }
                { line = ""; for (k = 1; k <= n; k++) line = line OFS $keep[k]; print line }' "$r/$f" >"$r/$f.cmp"
        done
        cmp -s "$work/plain/$f.cmp" "$1/$f.cmp" || { echo "#   $f differs: $(diff "$work/plain/$f.cmp" "$1/$f.cmp" | head -3 | cut -c1-200 | tr '\n' '|')"; return 1; }
    done
    [ "${2:-}" = packed ] && { [ "$(grep '^data_hash' "$1/round-1/shards/index.tsv")" = "$(grep '^data_hash' "$work/plain/round-1/shards/index.tsv")" ]; return; }
    diff -r "$work/plain/round-1/shards" "$1/round-1/shards" >"$work/diff" || { echo "#   shards: $(head -2 "$work/diff")"; return 1; }
}

conf "$work/plain" >"$work/plain.conf"
make -s --no-print-directory BUILD="$BUILD" BIN="$BIN" SETTINGS="$work/plain.conf" dataset >"$work/log" 2>&1
ok $? "one plain run $(tail -2 "$work/log" | tr '\n' '|')"

conf "$work/parts" >"$work/parts.conf"
make -s --no-print-directory -f pipelines/parts.mk SETTINGS="$work/parts.conf" PARTS=3 BIN="$BIN" -j2 dataset >"$work/log" 2>&1
ok $? "in three parts under make -j2 $(tail -2 "$work/log" | tr '\n' '|')"
same "$work/parts"
ok $? "manifests, rejects and shards are the same"

# What is remembered: other parts look at no picture again, and neither does a run that is not in parts.
again() { # RUN MAKE-ARGUMENT...: what validate and augment say they looked at or made, and what they remembered, in sum
    local run=$1
    shift
    make -s --no-print-directory "$@" BUILD="$BUILD" BIN="$BIN" VALIDATE_FLAGS='--min-bytes 100 --max-bytes 10M -v' AUGMENT_FLAGS='--spec flip,shift=0.1 -v' dataset >"$work/log" 2>&1
    sed -nE -e 's/^validate: ([0-9]+) pictures looked at, ([0-9]+) remembered$/looked \1 \2/p' -e 's/^augment: ([0-9]+) made; variants of ([0-9]+) pictures were there$/made \1 \2/p' "$work/log" |
        awk '{ n[$1] += $2; there[$1] += $3 } END { print 0 + n["looked"], (there["looked"] > 0), 0 + n["made"], (there["made"] > 0) }'
}
cp -a "$work/parts" "$work/more"
conf "$work/more" >"$work/more.conf"
[ -s "$work/more/memory.tsv" ] && [ -s "$work/more/variants.tsv" ] && [ -z "$(find "$work/more/round-1/parts" -name '*memory*')" ]
ok $? "the tasks' memories become the run's"
remade() { find "$work/more/round-1/parts" -maxdepth 1 -type f -delete && rm -f "$work/more/valid.tsv"; }
remade && is "$(again more -f pipelines/parts.mk SETTINGS="$work/more.conf" PARTS=2 -j2)" "0 1 0 1" "in other parts: no picture is looked at and no variant made again"
same "$work/more" packed
ok $? "and the data set is the same"
remade && is "$(again more SETTINGS="$work/more.conf")" "0 1 0 1" "nor in a run that is not in parts"
same "$work/more" packed
ok $? "with the same data set"
remade
echo x >"$work/more/memory.tsv"
again more -f pipelines/parts.mk SETTINGS="$work/more.conf" PARTS=3 -j2 >"$work/looked"
is "$(cut -d' ' -f2- "$work/looked"; head -c 6 "$work/more/memory.tsv")" "0 0 1
xxh128" "a memory that is none is replaced"
same "$work/more" packed
ok $? "and the data set is the same"
rm -rf "$work/more"

# features and classify, in parts
model=$TOP/tests/fixtures/tiny-net/tfjs-float32
"$BIN/classify" --device cpu --root "$work/plain" --model "$model" --rejects "$work/scores.rejects" -o "$work/scores.tsv" "$work/plain/valid.tsv"
ok $? "one plain classify"
scored() { # RUN: its scores are those of the plain classify, the time of download aside
    awk -F'\t' -v OFS='\t' 'FNR == 1 { n = 0; for (i = 1; i <= NF; i++) if ($i != "fetched_at") keep[++n] = i }
        { line = ""; for (k = 1; k <= n; k++) line = line OFS $keep[k]; print line > (FILENAME ".cmp") }' "$work/scores.tsv" "$1/round-1/scores.tsv"
    cmp "$work/scores.tsv.cmp" "$1/round-1/scores.tsv.cmp"
}
cached() { # RUN: nothing is left for phase head to compute
    "$BIN/train" --device cpu --shards "$1/round-1/shards" --base "$model" --cache "$1/cache" --boundary-cache f32 --unlock-from c1 --threads 1 --epochs 1 --out "$1/head-try" -v 2>&1 |
        grep -q ' 0 of them computed now' && [ -z "$(ls "$1/cache" | grep part-)" ]
}
make -s --no-print-directory -f pipelines/parts.mk SETTINGS="$work/parts.conf" PARTS=3 BIN="$BIN" MODEL="$model" -j2 features classify >"$work/log" 2>&1
ok $? "features and classify in three parts $(tail -2 "$work/log" | tr '\n' '|')"
cached "$work/parts"
ok $? "phase head finds every picture in the cache"
scored "$work/parts"
ok $? "the scores are those of one run"

if command -v parallel >/dev/null && parallel --version 2>/dev/null | grep -q GNU; then
    conf "$work/gnu" >"$work/gnu.conf"
    one() { make -s --no-print-directory -f pipelines/parts.mk SETTINGS="$work/gnu.conf" PARTS=3 BIN="$BIN" "$@"; }
    {
        one lists && parallel -j2 --will-cite make -s --no-print-directory -f pipelines/parts.mk SETTINGS="$work/gnu.conf" PARTS=3 BIN="$BIN" fetch-{} ::: 0 1 2 &&
            one validate-cut && parallel -j2 --will-cite make -s --no-print-directory -f pipelines/parts.mk SETTINGS="$work/gnu.conf" PARTS=3 BIN="$BIN" validate-{} ::: 0 1 2 && one pack
    } >"$work/log" 2>&1 && same "$work/gnu"
    ok $? "and under GNU parallel $(tail -1 "$work/log")"
fi

start_slurm() {
    local d=$work/slurm host
    host=$(hostname -s)
    mkdir -p "$d"/{state,spool,log}
    head -c 1024 /dev/urandom >"$d/munge.key"
    chmod 600 "$d/munge.key"
    chmod 755 "$d"
    daemons="$d/slurmd.pid $d/slurmctld.pid $d/munged.pid"
    munged --force --key-file="$d/munge.key" --socket="$d/munge.sock" --pid-file="$d/munged.pid" --log-file="$d/log/munged.log" \
        --seed-file="$d/munge.seed" >"$d/log/start" 2>&1 || return 1
    set -- $(python3 -c 'import socket
s = [socket.socket() for _ in range(2)]
for x in s: x.bind(("127.0.0.1", 0))
print(*[x.getsockname()[1] for x in s])')
    cat >"$d/slurm.conf" <<CONF
ClusterName=winnowtest
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$1
SlurmdPort=$2
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$d/munge.sock,cred_expire=5
StateSaveLocation=$d/state
SlurmdSpoolDir=$d/spool
SlurmctldPidFile=$d/slurmctld.pid
SlurmdPidFile=$d/slurmd.pid
SlurmctldLogFile=$d/log/slurmctld.log
SlurmdLogFile=$d/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
KillWait=1
JobRequeue=1
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
    export SLURM_CONF=$d/slurm.conf
    slurmctld -f "$d/slurm.conf" && slurmd -f "$d/slurm.conf" || return 1
    for _ in $(seq 100); do
        sinfo -h -o %T 2>/dev/null | grep -q idle && return 0
        sleep 0.2
    done
    return 1
}
if ! command -v slurmctld >/dev/null || ! command -v munged >/dev/null; then
    skip "the same under Slurm" "slurm-wlm and munge are not installed"
elif ! start_slurm; then
    skip "the same under Slurm" "slurmctld does not start here: $(tail -n 2 "$work/slurm/log/"* 2>/dev/null | tr '\n' ' ' | cut -c1-300)"
else
    conf "$work/slurmed" >"$work/slurmed.conf"
    BIN="$BIN" MODEL="$model" pipelines/slurm/submit "$work/slurmed.conf" 3 dataset features classify >"$work/jobs" 2>&1
    ok $? "submit: $(cut -c1-120 "$work/jobs")"
    # A fetch task is requeued while it runs: it is killed and made again.
    requeued=
    for _ in $(seq 1500); do
        if [ -z "$requeued" ]; then
            task=$(squeue -h -r -t RUNNING -o '%i %j' 2>/dev/null | awk '/-fetch$/ { print $1; exit }')
            [ -n "$task" ] && sleep 0.5 && scontrol requeue "$task" 2>/dev/null && requeued=$task
        fi
        [ -z "$(squeue -h 2>/dev/null)" ] && break
        sleep 0.2
    done
    [ -n "$requeued" ]
    ok $? "a running fetch task was requeued ($requeued)"
    pipelines/slurm/status "$work/slurmed.conf" >"$work/status"
    ok $? "status says that the shards are there: $(tail -1 "$work/status")"
    same "$work/slurmed"
    ok $? "the run on Slurm gives the same manifests and shards"
    cached "$work/slurmed"
    ok $? "its features are there"
    scored "$work/slurmed"
    ok $? "and its scores"
    export ASAN_OPTIONS=${ASAN_OPTIONS:-}:fast_unwind_on_malloc=0    # for Open MPI: see mpi.sh
    if command -v mpirun >/dev/null && [ -f "$BIN/winnow-mpi.so" ]; then
        BIN="$BIN" pipelines/slurm/train "$work/slurmed.conf" 2 1 >"$work/jobs" 2>&1
        ok $? "a training job over two ranks: $(cat "$work/jobs")"
        make -s --no-print-directory BUILD="$BUILD" BIN="$BIN" SETTINGS="$work/plain.conf" train >"$work/log" 2>&1 || cat "$work/log" >&2
        for _ in $(seq 600); do
            [ -z "$(squeue -h 2>/dev/null)" ] && break
            sleep 0.2
        done
        [ -f "$work/slurmed/round-1/report.html" ] && [ -d "$work/slurmed/round-1/exports" ]
        ok $? "it ends with the report and the exports $(tail -n 3 "$work/slurmed/log/"slurm-train-*.log | tr '\n' '|' | cut -c1-300)"
        grep -q 'mpirun' "$work/slurmed/log/launch" && [ -s "$work/slurmed/log/mpirun.pid" ]
        ok $? "mpirun started it"
        paste <(cut -f4 "$work/plain/round-1/fine/log.tsv") <(cut -f4 "$work/slurmed/round-1/fine/log.tsv") |
            awk 'NR > 2 { d = $1 - $2; if (d < 0) d = -d; if (!(d <= 1e-5 * $1)) bad++; n++ } END { exit bad > 0 || n != 2 }'
        ok $? "the losses are those of one process"
    fi
fi
done_testing
