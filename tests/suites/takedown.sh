#!/usr/bin/env bash
# A picture that must not be there is nowhere: the whole flow is run with it on the server, and then every file of the run, of the store, of its
# caches and of the temporary folder is searched for its bytes, its pixels (shards hold them as they are) and its hash. First with a block
# list from the start; then taken down after a model was trained with it.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
work=$TMPDIR/takedown
mkdir -p "$work/web" "$work/lists" "$work/tmp" "$work/logs"
export TMPDIR=$work/tmp         # of everything that is started below
unset MAKEFLAGS MAKELEVEL
# Pictures of 16 x 16, stored without compression, so that a row of pixels is the same bytes in the file and in a shard of side 16.
python3 - "$work" <<'P'
import hashlib, os, struct, sys, zlib
top = sys.argv[1]
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
for label in ("night", "day"):
    for i in range(16):
        noise = hashlib.shake_128(("%s %d" % (label, i)).encode()).digest(768)
        shade = bytes((b // 2 + (127 if label == "day" else 0)) for b in noise)
        raw = b"".join(b"\0" + shade[48 * y:48 * y + 48] for y in range(16))
        png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(raw, 0)) + chunk(b"IEND", b"")
        os.makedirs(top + "/web/" + label, exist_ok=True)
        with open("%s/web/%s/%02d.png" % (top, label, i), "wb") as f:
            f.write(png)
        if label == "day" and i == 7:
            with open(top + "/pixels", "wb") as f:
                f.write(shade[96:96 + 40])
P
victim=$work/web/day/07.png
printf 'path\nday/07.png\nday/copy.png\n' >"$work/one.tsv"
cp "$victim" "$work/web/day/copy.png"
xxh=$(column <("$BIN/hash-dedup" --root "$work/web" "$work/one.tsv") xxh128 | head -1)
rm "$work/web/day/copy.png"
python3 - "$work/web" "$work/port" <<'P' &
import functools, http.server, os, sys
class Q(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
    def do_GET(self): # robots.txt of localhost refuses while the file is there; other hosts have none
        refusal = os.path.join(os.path.dirname(sys.argv[1]), "refuse")
        if self.path == "/robots.txt" and self.headers["Host"].startswith("localhost") and os.path.exists(refusal):
            body = open(refusal, "rb").read()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            super().do_GET()
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Q, directory=sys.argv[1]))
with open(sys.argv[2] + ".new", "w") as f: f.write(str(s.server_address[1]))
os.rename(sys.argv[2] + ".new", sys.argv[2])
s.serve_forever()
P
server=$!
trap 'kill $server 2>/dev/null' EXIT
for _ in $(seq 100); do [ -f "$work/port" ] && break; sleep 0.1; done
for label in night day; do (cd "$work/web" && ls "$label"/*.png) | sed "s,^,http://127.0.0.1:$(cat "$work/port")/," >"$work/lists/$label.txt"; done
settings() { # RUN FETCH_FLAGS
    cat <<CONF
include \$(PIPELINES)/default.conf
NAME = takedown
RUN = $1
SOURCES = $work/lists
FETCH_FLAGS = --allow-private --rate 0 --ignore-robots $2
VALIDATE_FLAGS = --min-bytes 100
SPLIT_FLAGS = --val 0.2 --test 0.2
AUGMENT_FLAGS = --spec flip
PHASH_DEDUP_FLAGS = --distance 0 --group-distance 0
SIDE = 16
BASE = tests/fixtures/tiny-net/tfjs-float32
DEVICE = cpu
HEAD_FLAGS = --epochs 2 --batch 8 --lr 0.05 --threads 1
FINE_FLAGS = --epochs 1 --batch 8 --lr 0.01 --unlock-from c1 --threads 1
FOLDS = 2
EXPORTS = demo
CONF
}
go() { make --no-print-directory BUILD="$BUILD" BIN="$BIN" SETTINGS="$work/my.conf" "$@" >>"$work/logs/make.log" 2>&1; }
# Files below the folders that hold the pixels (or any other run of the file), the hash in digits, or the hash as bytes; "what name".
search() {
    python3 - "$xxh" "$victim" "$work/pixels" "$@" <<'P'
import os, sys
xxh, victim, pixels = sys.argv[1], open(sys.argv[2], "rb").read(), open(sys.argv[3], "rb").read()
needles = [("pixels", pixels), ("pixels", victim[300:330]), ("pixels", victim[700:730]), ("hash", xxh.encode()), ("hash", xxh[2:].encode()), ("hash", bytes.fromhex(xxh))]
for top in sys.argv[4:]:
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            data = open(path, "rb").read()
            for what in sorted({w for w, needle in needles if needle in data or needle in path.encode()}):
                print(what, os.path.relpath(path, top))
P
}
places=("$work/tmp" "$work/logs")

# --- the search finds what there is ------------------------------------------------------------------------------------------
settings "$work/open" "" >"$work/my.conf"
go dataset train
ok $? "the flow runs with the picture: $(tail -1 "$work/logs/make.log" | cut -c1-100)"
search "$work/open" >"$work/found"
for want in "pixels store/objects" "pixels round-1/shards/shard-0" "hash cache/" "hash round-1/split.tsv" "hash fetched.tsv"; do
    grep -q "^$want" "$work/found"
    ok $? "the search finds it as it should: $want"
done
cp -r "$work/open" "$work/later"

# --- on a block list from the start ---------------------------------------------------------------------------------------------
md5sum <"$victim" | cut -d' ' -f1 >"$work/list"
: >"$work/logs/make.log"
settings "$work/run" "--blocklist $work/list" >"$work/my.conf"
go dataset train
ok $? "the flow runs with the picture on a block list"
found=$(search "$work/run" "${places[@]}" | tr '\n' ';')
[ -z "$found" ]
ok $? "it is in no file of the run, its store, shards, caches, logs or temporaries, by pixels or by hash${found:+: $found}"
grep -q md5 "$work/run/store/audit.tsv"
ok $? "but for the line in the audit log that says so"

# --- taken down after a model was trained with it ---------------------------------------------------------------------------------
mv "$work/open" "$work/gone-away"       # paths in the tables are relative: the copy is a run of its own
settings "$work/later" "" >"$work/my.conf"
: >"$work/logs/make.log"
echo "$xxh" >"$work/down"
"$BIN/fetch" --store "$work/later/store" --takedown "$work/down" >>"$work/logs/make.log" 2>&1 && "$BIN/purge" --store "$work/later/store" "$work/later" >"$work/report.tsv" 2>>"$work/logs/make.log"
ok $? "fetch --takedown and purge"
search "$work/later" "${places[@]}" >"$work/found"
[ -z "$(grep '^pixels' "$work/found")" ]
ok $? "no file holds its pixels$(grep '^pixels' "$work/found" | head -3 | tr '\n' ';')"
left=$(grep '^hash' "$work/found" | grep -vE ' store/(journal|takedown|audit)\.tsv$' | tr '\n' ';')
[ -z "$left" ]
ok $? "nor its hash, but where it has to be remembered${left:+: $left}"
for what in shard-records-removed cache-removed page-removed rows-removed model-trained-with-it; do
    grep -q "^$what	" "$work/report.tsv"
    ok $? "purge says: $what"
done
go dataset train
ok $? "the flow runs again: $(tail -1 "$work/logs/make.log" | cut -c1-100)"
search "$work/later" "${places[@]}" >"$work/found"
left=$(grep -vE '^hash store/(journal|takedown|audit)\.tsv$' "$work/found" | tr '\n' ';')
[ -z "$left" ] && [ -s "$work/later/round-1/fine/model/model.json" ]
ok $? "and the picture does not come back${left:+: $left}"

# --- a host changes its mind: nobody does anything but run make again ---------------------------------------------------------------
# The picture comes from a host of its own.
sed "s,127.0.0.1\(:[0-9]*/day/07\),localhost\1," "$work/lists/day.txt" >"$work/lists/day.new" && mv "$work/lists/day.new" "$work/lists/day.txt"
mind() { settings "$work/mind" "" | sed 's/--ignore-robots//'; echo "RIGHTS_CHANGED = $1"; echo "$croissant"; }
croissant="CROISSANT_FLAGS = --description 'Day and night.' --license CC0-1.0 --cite-as nobody --published 2026-01-31 --set-version 1.0.0"
mind keep >"$work/my.conf"
: >"$work/logs/make.log"
go dataset train
ok $? "the flow runs: $(tail -1 "$work/logs/make.log" | cut -c1-100)"
[ "$(search "$work/mind" | grep -c '^pixels')" -ge 2 ]
ok $? "with the picture"
card=$work/mind/round-1/exports/demo/MODEL_CARD.md
for f in round-1/sources.tsv croissant.json; do has "$(cat "$card")" "$(sha256sum <"$work/mind/$f" | cut -c1-64)" "the model card names ${f##*/} by its hash"; done
is "$(grep -c '"round-1/shards/shard-00000.bin"' "$work/mind/croissant.json")" 1 "which describes the shards, too"
is "$(head -1 "$work/mind/valid.tsv" | grep -c 'generated	markers')" 1 "validate has read the markers"
printf 'User-agent: *\nContent-Signal: ai-train=no\nDisallow:\n' >"$work/refuse"
: >"$work/logs/make.log"
go RETRY=1 dataset train
has "$(cat "$work/logs/make.log")" "1 pictures in the store are refused by their hosts now: kept" "RIGHTS_CHANGED = keep says that a host refuses now"
mind takedown >"$work/my.conf"
go RETRY=1 dataset-facts
ok $? "RIGHTS_CHANGED = takedown: $(tail -1 "$work/logs/make.log" | cut -c1-100)"
search "$work/mind" "$work/tmp" "$work/logs" >"$work/found"
left=$(grep -vE '^hash store/(journal|takedown|audit)\.tsv$' "$work/found" | tr '\n' ';')
[ -z "$left" ]
ok $? "the first step removes it from all files${left:+: $left}"
[ -e "$work/mind/retrain" ]
ok $? "and notes that a model was trained with it"
before=$(stat -c %Y.%y "$work/mind/round-1/fine/model/model.json")
go dataset train
is "$(rows "$work/mind/fetched.tsv") $([ "$before" = "$(stat -c %Y.%y "$work/mind/round-1/fine/model/model.json")" ]; echo $?)" "31 1" "the flow trains again without it"
rm "$work/refuse"
go RETRY=1 dataset train
is "$? $(search "$work/mind" | grep -c '^pixels')" "0 0" "it does not come back when the host changes its mind again"

# --- the same on a cluster: each task of fetch has a store of its own, and the picture comes from hosts of two tasks -----------------------
port=$(cat "$work/port")
echo "http://127.0.0.1:$port/day/07.png" >>"$work/lists/day.txt"
in_parts() { make --no-print-directory -f pipelines/parts.mk SETTINGS="$work/my.conf" PARTS=3 BIN="$BIN" "$@" >>"$work/logs/make.log" 2>&1; }
on_cluster() { mind "$1" | sed "s,$work/mind,$work/cluster,"; }
on_cluster keep >"$work/my.conf"
in_parts -j2 dataset
ok $? "a run in parts: $(tail -1 "$work/logs/make.log" | cut -c1-100)"
is "$(find "$work/cluster"/round-1/parts/store-*/store/objects -name "${xxh:2}*" | wc -l) $(find "$work/cluster/store/objects" -name "${xxh:2}*" | wc -l)" "2 1" "two stores have the picture, and the whole"
go train # on the shards of the parts
printf 'User-agent: *\nContent-Signal: ai-train=no\nDisallow:\n' >"$work/refuse"
: >"$work/logs/make.log"
in_parts -j2 RETRY=1 dataset
has "$(cat "$work/logs/make.log")" "1 pictures in the store are refused by their hosts now: kept" "RIGHTS_CHANGED = keep says so in its task"
on_cluster takedown >"$work/my.conf"
in_parts RETRY=1 lists && for i in 0 1 2; do in_parts fetch-$i || break; done && in_parts validate-cut
ok $? "RIGHTS_CHANGED = takedown, a task at a time as Slurm does: $(tail -1 "$work/logs/make.log" | cut -c1-100)"
search "$work/cluster" "$work/tmp" "$work/logs" >"$work/found"
left=$(grep -vE '^hash (round-1/parts/store-00[0-2]/)?store/(journal|takedown|audit)\.tsv$' "$work/found" | tr '\n' ';')
[ -z "$left" ]
ok $? "the first join removes it from all files and all stores${left:+: $left}"
[ -e "$work/cluster/retrain" ]
ok $? "and notes that a model was trained with it"
in_parts -j2 dataset
is "$? $(rows "$work/cluster/fetched.tsv") $(search "$work/cluster" | grep -c '^pixels')" "0 31 0" "the data set is made again without it"
rm "$work/refuse"
in_parts -j2 RETRY=1 dataset
is "$? $(search "$work/cluster" | grep -c '^pixels')" "0 0" "it does not come back from the other host, nor when the first one changes its mind again"
done_testing
