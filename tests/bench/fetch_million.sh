#!/usr/bin/env bash
# A list of 1,000,000 addresses: seconds and peak memory until the first request, and of a rerun that has nothing to do. No network:
# the first run is ended after its first request (refused on the loopback), the rerun's journal is made by a script.
# Prints a table; never fails.
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
BIN=${BIN:-$TOP/bin}
case $BIN in /*) ;; *) BIN=$TOP/$BIN ;; esac
N=${1:-1000000}
base=$(mktemp -d "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")/winnow-bench-XXXXXX")
trap 'rm -rf "$base"' EXIT
cd "$base" || exit 0
python3 - "$N" <<'P'
import os, sys
n = int(sys.argv[1])
h = "ab0123456789abcdef0123456789abcd"
os.makedirs("s/objects/ab"); open("s/objects/ab/%s.jpg" % h[2:], "wb").write(b"\xff" * 3000)
out = open("journal", "w")
out.write("\t".join("time event url status reason detail error final_url etag last_modified content_type bytes xxh128 format fetched_at tries failed_runs due".split()) + "\n")
with open("list", "w") as f:
    for i in range(n):
        u = "http://127.0.0.1:9/some/folder/of/pictures/%d/image-%07d-with-a-name.jpg?width=640" % (i % 977, i)
        f.write(u + "\n")
        if i % 2:
            out.write("2026-01-01T08:00:00Z\tfail\t%s\t404\thttp-503\t\t\t\t\t\ttext/html\t0\t\t\t\t1\t1\t2096-01-01T08:00:00Z\n" % u)
        else:
            out.write("2026-01-01T08:00:00Z\tok\t%s\t200\t\t\t\t\t\"6b02b696-7d6\"\tSun, 22 Nov 2026 09:32:06 GMT\timage/jpeg\t3000\t%s\tjpeg\t2026-01-01T08:00:00Z\t1\t0\t\n" % (u, h))
at = out.tell()
out.write("2026-01-01T08:00:01Z\tsync\t\t0\t\t\t\t\t\t\t\t%d\t\t\t\t0\t0\t\n" % at)
P
timed() { python3 - "$@" <<'P'
import os, resource, subprocess, sys, time
start = time.time()
subprocess.call(sys.argv[2:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
u = resource.getrusage(resource.RUSAGE_CHILDREN)
print("%-34s %7.2f s wall %7.2f s CPU %7.0f MB" % (sys.argv[1], time.time() - start, u.ru_utime + u.ru_stime, u.ru_maxrss / 1024))
P
}
echo "$N addresses, $(($(stat -c %s list) / 1000000)) MB list, $(($(stat -c %s journal) / 1000000)) MB journal"
# One host that refuses, one try, no patience: the host is given up at its first failure, so this is start-up and the writing of rows.
timed "fresh, host down" "$BIN/fetch" --store fresh --label x --allow-private --ignore-robots --parallel 1 --tries 1 --breaker 1 --retry-wait 0.01 \
    --rejects rejects.tsv -o out.tsv list
cp journal s/journal.tsv
timed "rerun, nothing to do" "$BIN/fetch" --store s --label x --max-same 0 --rejects rejects.tsv -o out.tsv list
