#!/usr/bin/env bash
# The decoding workers from outside: what they have given up, that killing one at rest costs no picture, that they end with their parent,
# and that Ctrl-C leaves none behind. What a decoder that was taken over can try from inside is in unit/image_pool_test.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
cp tests/fuzz/corpus/png/rgb.png tests/fuzz/corpus/jpeg/baseline.jpg "$TMPDIR"/
cd "$TMPDIR" || exit 1
mkfifo rows
start() { # a validate that waits for rows on descriptor 9; its pid in $parent, its workers in $workers
    "$BIN/validate" --min-bytes 0 -j2 -o out.tsv --rejects rejects.tsv rows 2>err &
    parent=$!
    exec 9>rows
    printf 'path\n' >&9
    workers=
    for _ in $(seq 100); do
        workers=$(cat /proc/$parent/task/*/children 2>/dev/null)
        set -- $workers
        [ $# = 2 ] && grep -q '^Seccomp:.*2' "/proc/$1/status" 2>/dev/null && grep -q '^Seccomp:.*2' "/proc/$2/status" 2>/dev/null && break
        sleep 0.05
    done
}
gone() { # PID...: all ended within ten seconds
    for _ in $(seq 200); do
        left=
        for p; do [ -d "/proc/$p" ] && ! grep -q '^State:.Z' "/proc/$p/status" 2>/dev/null && left=1; done
        [ -z "$left" ] && return 0
        sleep 0.05
    done
    return 1
}
start
# shellcheck disable=SC2086
set -- $workers
[ $# = 2 ]
ok $? "two workers wait before the first picture"
if [ $# != 2 ]; then exec 9>&-; done_testing; fi
for what in "Seccomp:.*2" "NoNewPrivs:.*1"; do
    grep -q "^$what" "/proc/$1/status" && grep -q "^$what" "/proc/$2/status"
    ok $? "their status says $what"
done
limits=$(cat "/proc/$1/limits")
echo "$limits" | grep -q '^Max address space  *[0-9]' && echo "$limits" | grep -q '^Max core file size  *0  *0' && echo "$limits" | grep -q '^Max file size  *0  *0'
status=$?
if ldd "$BIN/validate" | grep -qE 'asan|tsan' || nm "$BIN/validate" 2>/dev/null | grep -q __asan_init; then
    skip "address space, core and file size are limited" "sanitizers need the address space"
else
    ok $status "address space, core and file size are limited"
fi
if fds=$(ls "/proc/$1/fd" 2>/dev/null); then
    [ "$(echo "$fds" | wc -w)" = 1 ] && readlink "/proc/$1/fd/$fds" | grep -q socket
    ok $? "a socket is all that is open: $(readlink "/proc/$1/fd/$fds")"
else
    skip "a socket is all that is open" "only root may look"
fi
kill -INT "$1" && kill -TERM "$1" && sleep 0.2 && [ -d "/proc/$1" ]
ok $? "INT and TERM are for the parent to decide on"
kill -KILL "$1" "$2"
sleep 0.2
printf 'rgb.png\nbaseline.jpg\nrgb.png\nbaseline.jpg\n' >&9
exec 9>&-
wait $parent
[ $? = 0 ] && [ "$(wc -l <out.tsv)" = 5 ] && [ "$(wc -l <rejects.tsv)" = 1 ] && [ ! -s err ]
ok $? "workers killed at rest are replaced and cost no picture"

start
# shellcheck disable=SC2086
set -- $workers
kill -KILL $parent
wait $parent 2>/dev/null
exec 9>&-
gone "$@"
ok $? "workers end when their parent is killed"

start
# shellcheck disable=SC2086
set -- $workers
rm -f out.tsv
kill -TERM $parent
wait $parent 2>/dev/null
[ $? = 143 ] && [ ! -e out.tsv ]
ok $? "TERM ends the parent as it should"
exec 9>&-
gone "$@"
ok $? "and its workers"
done_testing
