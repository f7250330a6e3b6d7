# shellcheck shell=bash
# tap.sh: what the suites share; each begins with  . "$(dirname "$0")/../tap.sh"
# tests/run gives a suite TOP, BUILD, BIN and an empty folder TMPDIR; one that is started by hand gets the same here.
set -u
if [ -z "${TOP:-}" ]; then
    TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    export TOP BUILD=$TOP/build/release BIN=$TOP/bin LC_ALL=C.UTF-8
    TMPDIR=$(mktemp -d)
    export TMPDIR
fi
tap_checks=0 tap_failed=0 tap_evidence=

# ok STATUS TEXT: passes when STATUS is 0
ok() {
    tap_checks=$((tap_checks + 1))
    if [ "$1" = 0 ]; then echo "ok $tap_checks - $2"; return; fi
    echo "not ok $tap_checks - $2"
    tap_failed=1
    [ ! -f "$tap_evidence" ] || tail -n 12 "$tap_evidence" | sed 's/^/#   /'
}
# evidence FILE: its last lines are shown after each check that fails
evidence() { tap_evidence=$1; }
# is GOT WANTED TEXT
is() {
    if [ "$1" = "$2" ]; then ok 0 "$3"; else ok 1 "$3"; printf 'got:    %s\nwanted: %s\n' "$1" "$2" | sed 's/^/#   /'; fi
}
# has GOT PART TEXT: passes when PART occurs in GOT
has() {
    case $1 in *"$2"*) ok 0 "$3" ;; *) ok 1 "$3"; printf 'got:    %s\nwanted in it: %s\n' "$1" "$2" | sed 's/^/#   /' ;; esac
}
# must_fail CODE PATTERN TEXT COMMAND...: exit status CODE and no other, and a line on standard error that matches
must_fail() {
    local code=$1 pattern=$2 text=$3 said got
    shift 3
    said=$("$@" 2>&1 >/dev/null)
    got=$?
    [ $got = "$code" ] && grep -qE -e "$pattern" <<<"$said"
    ok $? "$text"
    [ $got = "$code" ] || echo "#   exit status $got, wanted $code: ${said%%$'\n'*}"
}
# skip TEXT REASON: a check that cannot run here. skip_all: the whole suite
skip() { tap_checks=$((tap_checks + 1)); echo "ok $tap_checks - $1 # SKIP $2"; }
skip_all() { skip "$@"; done_testing; }
# The last line of every suite.
done_testing() { echo "1..$tap_checks"; exit $tap_failed; }

# cell FILE KEY COLUMN: the value in COLUMN of the row of a table whose first column is KEY
cell() {
    awk -F'\t' -v key="$2" -v name="$3" 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } $1 == key && name in at { print $at[name]; exit }' "$1"
}
# column FILE COLUMN: its values, one on each line
column() { awk -F'\t' -v name="$2" 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } name in at { print $at[name] }' "$1"; }
# rows FILE: how many a table has, its header apart
rows() { tail -n +2 "$1" | wc -l; }

# wait_for CONDITION: until it holds; fails after half a minute
wait_for() { for _ in $(seq 600); do eval "$1" && return 0; sleep 0.05; done; return 1; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
