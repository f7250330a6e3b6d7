#!/usr/bin/env bash
# submit, train and status with a stand-in sbatch and squeue: odd folders, numbers that are none, a Slurm that refuses.
# (tests/suites/slurm.sh runs a real one.)
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
work="$TMPDIR/it's 50%a"
mkdir -p "$work/bin" "$work/lists"
evidence "$work/said"
unset MAKEFLAGS MAKELEVEL
export BIN work
cat >"$work/bin/sbatch" <<'SBATCH'
#!/bin/bash
n=$(($(cat "$work/n" 2>/dev/null || echo 0) + 1))
[ "$n" != "${REFUSE_AT:-}" ] || { echo "sbatch: error: invalid partition specified: no-such" >&2; exit 1; }
echo "$n" >"$work/n"
printf '%s\n' "$@" >"$work/options.$n"
cat >"$work/job.$n"
echo "$n"
SBATCH
printf '#!/bin/sh\necho "slurm_load_jobs error: $SQUEUE_SAYS" >&2\nexit 1\n' >"$work/bin/squeue"
chmod +x "$work/bin/sbatch" "$work/bin/squeue"
export PATH="$work/bin:$PATH"
cat >"$work/my run.conf" <<CONF
include \$(PIPELINES)/default.conf
NAME = odd
RUN = $work/run
SOURCES = $work/lists
BASE = tests/fixtures/tiny-net/tfjs-float32
CONF
slurm() { # SCRIPT ARGUMENT...: sets status
    rm -f "$work/n"
    "pipelines/slurm/$1" "$work/my run.conf" "${@:2}" >"$work/said" 2>&1
    status=$?
}

slurm submit 2
is "$status $(ls "$work"/job.* | wc -l)" '0 9' "the data set in nine jobs, the folder's name with a blank, a quote and a percent sign"
grep -qF 'run/log/slurm-lists-%j.log' "$work/options.1" && grep -qF '50%%a' "$work/options.1"
ok $? "a percent sign in the folder's name is not a pattern of Slurm's: $(grep output "$work/options.1")"
grep -q ' lists' "$work/job.1" && ! grep -q RETRY "$work"/job.*
ok $? "nothing is asked for again unless told"
RETRY=1 slurm submit 2
is "$(grep -l 'RETRY=1 lists' "$work"/job.* | wc -l) $(grep -l RETRY "$work"/job.* | wc -l)" "1 1" "RETRY=1 is told to the first job alone, so that the others ask for nothing twice"
for job in "$work"/job.*; do bash -n "$job" 2>"$work/syntax" || break; done
ok $? "every job is a script that bash reads: $(cat "$work/syntax")"
for parts in 0 x 1000 -1; do
    slurm submit "$parts"
    [ "$status" = 64 ] && [ ! -e "$work/n" ] && grep -q 'PARTS' "$work/said"
    ok $? "PARTS = $parts is refused before anything is submitted: $(cat "$work/said")"
done
rm -f "$work/run/slurm.jobs"
REFUSE_AT=3 slurm submit 2
[ "$status" = 69 ] && grep -q 'refused fetch-join.*scancel 1 2$' "$work/said" && [ ! -e "$work/run/slurm.jobs" ]
ok $? "sbatch refuses the third: the chain ends there, and what waits is named: $(tail -n 1 "$work/said")"

slurm submit 2
SQUEUE_SAYS='Unable to contact slurm controller (connect failure)' slurm status
[ "$status" = 69 ] && grep -q 'Unable to contact' "$work/said"
ok $? "a controller that is away is not an empty queue: $(cat "$work/said")"
SQUEUE_SAYS='Invalid job id specified' slurm status
[ "$status" = 2 ] && grep -q 'will not come' "$work/said"
ok $? "jobs that Slurm has forgotten: it will not come"

slurm train 2 1
[ "$status" = 0 ] && bash -n "$work/job.1" 2>"$work/syntax"
ok $? "train's job is a script that bash reads: $(cat "$work/syntax")"
# The job's own make, with a make in its place that shows what the launcher's name became.
printf '#!/bin/bash\nfor a; do case $a in LAUNCH=*) eval "set -- ${a#LAUNCH=}"; echo "$#"; [ -x "$1" ] && echo here ;; esac; done >"$work/launch-words"\n' >"$work/bin/make"
chmod +x "$work/bin/make"
sh -c 'exec bash "$work/job.1"' >/dev/null 2>&1
rm "$work/bin/make"
is "$(paste -sd' ' "$work/launch-words")" '1 here' "its launcher is one word, and there"
mkdir -p "$TMPDIR/usr/share/winnow" "$TMPDIR/usr/libexec"
cp -r pipelines "$TMPDIR/usr/share/winnow/"
ln -s "$(realpath "$BIN")" "$TMPDIR/usr/libexec/winnow"
for script in submit train; do
    rm -f "$work/n"
    rm -f "$work"/job.*
    (unset BIN && "$TMPDIR/usr/share/winnow/pipelines/slurm/$script" "$work/my run.conf" 2) >"$work/said" 2>&1
    programs=$(grep -o ' BIN=[^ ]*' "$work/job.1" | cut -d= -f2)
    [ -x "$programs/fetch" ] && [ "$programs" = "$TMPDIR/usr/libexec/winnow" ]
    ok $? "an installed $script without BIN finds the programs: $programs"
done
slurm train two
is "$status" 64 "RANKS = two is refused: $(cat "$work/said")"
done_testing
