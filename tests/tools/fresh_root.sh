#!/usr/bin/env bash
# fresh_root.sh: the Debian package on a bare Debian (debootstrap minbase: no compiler, no make, no manuals): it installs with its dependencies,
# helps, its manuals open, the tutorial's commands run (the very lines of docs/tutorial.md, on pictures from a server on this machine's
# loopback), a small run goes from lists to a published model, and removing it leaves nothing. Prints TAP.
# usage: tests/tools/fresh_root.sh DEB          root, debootstrap and the machine's own Debian mirror are needed
# The bare system is kept as build/fresh-root/base.tar for the next time.
set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 71
top=$PWD deb=$(readlink -f "${1:?usage: tests/tools/fresh_root.sh DEB}")
[ "$(id -u)" = 0 ] || { echo "fresh_root: needs root (chroot, mount)" >&2; exit 69; }
command -v debootstrap >/dev/null || { echo "fresh_root: needs debootstrap (apt-get install debootstrap)" >&2; exit 69; }
if [ -z "${FRESH_ROOT_ALONE:-}" ]; then     # mounts of our own, gone with this process
    FRESH_ROOT_ALONE=1 exec unshare --mount --propagation private bash "$top/tests/tools/fresh_root.sh" "$deb"
fi
n=0 bad=0
ok() { n=$((n + 1)); if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; bad=1; fi; }
work=$top/build/fresh-root
root=$work/root
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' | awk -v s="$suite" '$2 == s { print $1; exit }')
rm -rf "$root"
mkdir -p "$root"
if [ ! -f "$work/base.tar" ]; then
    debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$work/debootstrap.log" 2>&1 || { tail -5 "$work/debootstrap.log" >&2; exit 75; }
    rm -rf "$root"/var/cache/apt/archives/*.deb
    tar -C "$root" -cf "$work/base.tar.new" . && mv "$work/base.tar.new" "$work/base.tar"
else
    tar -C "$root" -xf "$work/base.tar"
fi
# The machine's own sources of packages, so that security updates match what the package was linked with.
cp -r /etc/apt/sources.list* "$root/etc/apt/" 2>/dev/null
cp /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null
cp -rn /usr/share/keyrings/. "$root/usr/share/keyrings/" 2>/dev/null
mount -t proc proc "$root/proc" || exit 71
in_root() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb DEBIAN_FRONTEND=noninteractive MANPAGER=cat "$@" </dev/null; }
in_root apt-get -q update >"$work/apt.log" 2>&1 || { tail -5 "$work/apt.log" >&2; echo "fresh_root: no Debian mirror" >&2; exit 75; }
cp "$deb" "$root/tmp/winnow.deb"
in_root apt-get -qy install --no-install-recommends /tmp/winnow.deb >"$work/install.log" 2>&1
ok $? "apt-get install ./winnow.deb brings its dependencies: $(grep -oE '[0-9]+ newly installed' "$work/install.log") $(grep -m1 '^E:' "$work/install.log")"
in_root dpkg --audit >"$work/out" 2>&1
[ ! -s "$work/out" ]
ok $? "dpkg --audit has nothing to say $(head -2 "$work/out" | tr '\n' ' ')"
in_root winnow --help >"$work/out" 2>&1 && grep -q 'phash-dedup' "$work/out"
ok $? "winnow --help"
missing=
for program in $(in_root winnow --help | awk '/^  [a-z]/ { print $1 }'); do
    in_root winnow "$program" --help >"$work/out" 2>&1 || missing="$missing $program ($(head -1 "$work/out"))"
done
[ -z "$missing" ]
ok $? "every program it lists runs: --help${missing:+, but not$missing}"
in_root winnow run dataset >"$work/out" 2>&1
[ $? = 69 ] && grep -q 'needs make' "$work/out"
ok $? "winnow run without make says what it needs: $(head -1 "$work/out")"
in_root apt-get -qy install --no-install-recommends man-db make >>"$work/install.log" 2>&1
ok $? "make and man-db are installed"
for page in winnow winnow-fetch winnow-train winnow-manifest winnow-formats; do
    in_root man "$page" >"$work/out" 2>"$work/err"
    [ $? = 0 ] && [ "$(wc -l <"$work/out")" -gt 30 ] && grep -q '^NAME' "$work/out" && [ ! -s "$work/err" ]
    ok $? "man $page: $(wc -l <"$work/out") lines $(head -1 "$work/err")"
done
in_root bash -c '. /usr/share/bash-completion/completions/winnow; COMP_WORDS=(winnow fetch --blo); COMP_CWORD=2; _winnow; echo "${COMPREPLY[@]}"' | grep -q -- --blocklist
ok $? "bash completes"
find "$root/usr" -newer "$root/tmp/winnow.deb" -type f -perm -2 | grep -q .
[ $? = 1 ]
ok $? "nothing it installed is world-writable"

# --- the tutorial ----------------------------------------------------------------------------------------------------------
web=$work/web
rm -rf "$web"
python3 tests/tools/make_pictures.py "$web" 24 7
cp "$web/stripes/000.png" "$web/stripes/copy.png"
python3 - "$web" "$work/port" <<'P' &
import functools, http.server, os, sys
class Q(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Q, directory=sys.argv[1]))
with open(sys.argv[2] + ".new", "w") as f: f.write(str(s.server_address[1]))
os.rename(sys.argv[2] + ".new", sys.argv[2])
s.serve_forever()
P
server=$!
trap 'kill $server 2>/dev/null; umount "$root/proc" 2>/dev/null' EXIT
rm -f "$work/port"
for _ in $(seq 100); do [ -f "$work/port" ] && break; sleep 0.1; done
home=$root/srv/run
mkdir -p "$home/lists"
for label in stripes discs noise; do
    (cd "$web" && ls "$label") | sed "s,^,http://127.0.0.1:$(cat "$work/port")/$label/," >"$home/lists/$label.txt"
done
echo "http://127.0.0.1:$(cat "$work/port")/gone.png" >>"$home/lists/noise.txt"
i=0
while IFS= read -r command; do
    i=$((i + 1))
    # The pictures of this test are small: the size rule of the tutorial would throw them out.
    command=${command/--min-bytes 1k/--min-bytes 100}
    in_root bash -c "cd /srv/run && $command" >"$work/out" 2>&1
    ok $? "tutorial: $ $command: $(tail -1 "$work/out" | cut -c1-100)"
done < <(sed -n 's/^    \$ //p' docs/tutorial.md | grep -E '^(winnow|wc|cat) ' | head -12)
[ $i -ge 7 ]
ok $? "$i commands of the tutorial were run"
cp -r tests/fixtures/tiny-net/tfjs-float32 "$home/net"
in_root cp /usr/share/winnow/pipelines/default.conf /srv/run/my.conf
cat >>"$home/my.conf" <<'CONF'
NAME = my
SOURCES = lists
FETCH_FLAGS = --allow-private --ignore-robots --rate 0
VALIDATE_FLAGS = --min-bytes 100
SPLIT_FLAGS = --val 0.2 --test 0.2
SIDE = 16
BASE = net
DEVICE = cpu
HEAD_FLAGS = --epochs 2 --batch 8 --lr 0.05 --threads 1
FINE_FLAGS = --epochs 1 --batch 8 --lr 0.001 --unlock-from c1 --threads 1
FOLDS = 3
MIN_NEW = 1
CONF
in_root bash -c 'cd /srv/run && winnow run dataset train SETTINGS=my.conf' >"$work/out" 2>&1
ok $? "winnow run dataset train SETTINGS=my.conf: $(tail -1 "$work/out" | cut -c1-160)"
[ -s "$home/runs/my/round-1/report.html" ] && [ -s "$home/runs/my/round-1/fine/model/model.json" ] && [ -s "$home/runs/my/round-1/exports/demo/index.html" ] &&
    ls "$home"/runs/my/round-1/exports/onnx/* >/dev/null
ok $? "report, model and exports are there: $(ls "$home/runs/my/round-1/exports" 2>/dev/null | tr '\n' ' ')"
rm -rf "$home/runs"
in_root bash -c 'cd /srv/run && winnow run nightly SETTINGS=my.conf' >"$work/out" 2>&1
status=$?
[ $status = 0 ] && [ -f "$home/runs/my/published/model.json" ]
ok $? "winnow run nightly publishes (status $status): $(head -1 "$work/out" | cut -c1-160)"
in_root bash -c 'cd /srv/run && winnow run nightly SETTINGS=my.conf' >"$work/out" 2>&1
status=$?
[ $status = 0 ] && [ ! -s "$work/out" ]
ok $? "the next night there is nothing new: silent (status $status)"
mkdir -p "$home/holiday"
cp "$web/discs/000.png" "$home/holiday/a.png"
in_root bash -c 'cd /srv/run && winnow classify --model runs/my/published holiday/*.png' >"$work/out" 2>&1
[ $? = 0 ] && [ "$(wc -l <"$work/out")" = 2 ]
ok $? "winnow classify with what was published: $(tail -1 "$work/out" | cut -c1-60)"

# --- away again ----------------------------------------------------------------------------------------------------------------
in_root apt-get -qy purge winnow >>"$work/install.log" 2>&1
left=$(find "$root/usr" "$root/etc" -iname '*winnow*' | head -3 | tr '\n' ' ')
[ -z "$left" ] && [ -f "$home/runs/my/published/model.json" ]
ok $? "purged: nothing of it is left but the data${left:+, but $left}"
umount "$root/proc"
[ $bad = 0 ] && rm -rf "$root"
echo "1..$n"
exit $bad
