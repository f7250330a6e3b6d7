#!/usr/bin/env bash
# Passwords are never written down: user:password in addresses (of a list, of a redirect), the proxy's, and what the pipeline logs.
. "$(dirname "$0")/../tap.sh"
. "$TOP/tests/faultserver/start.sh"
# Files that hold a word, but for those named after it.
holds() { # WORD FILE...
    local word=$1
    shift
    grep -rlF -- "$word" "$@" 2>/dev/null | tr '\n' ' '
}

# --- in addresses -------------------------------------------------------------------------------------------------------
printf '%s\n' "http://me:geheim1@127.0.0.1:$PLAIN/ok/a.jpg" "$U/credentials/a.jpg" "$U/ok/b.jpg" >list
# shellcheck disable=SC2086
$FETCH $QUICK --audit-urls -v list -o out.tsv --rejects rejects.tsv --summary summary.tsv >said 2>&1
is $? 0 "a list with a password in it"
is "$(outcome "$U/credentials/a.jpg") $(outcome "$U/ok/b.jpg")" "redirect-refused jpeg" "a redirect to an address with a password is not followed"
is "$(asked /ok/a.jpg)" 0 "nor is one in a list asked for"
is "$(holds geheim1 store out.tsv summary.tsv said log)" "" "its password is in no journal, audit log, summary or message"
is "$(awk -F'\t' '/geheim1/ { print $1 }' rejects.tsv | wc -l) $(cut -f2- rejects.tsv | grep -c geheim1)" "1 0" "the reject row is the row that was given, and no more"
is "$(holds user:secret store out.tsv rejects.tsv summary.tsv said)" "" \
    "the redirect's password is nowhere"

# --- the proxy's ----------------------------------------------------------------------------------------------------------
for bad in 'http://me:geheim2@[bad' 'gopher://me:geheim2@127.0.0.1:1' 'http://me:geheim2@' ''; do
    # shellcheck disable=SC2086
    $FETCH $QUICK --proxy "$bad" --store store2 list -o out2.tsv >said 2>&1
    is "$? $(holds geheim2 said store2)" "64 " "--proxy '$(echo "$bad" | sed 's/geheim2/***/')' is refused without being quoted"
done
echo "$U/ok/c.jpg" >list
# shellcheck disable=SC2086
$FETCH $QUICK --proxy "http://me:geheim3@127.0.0.1:1" --proxy-resolves --network-wait 1 -v --store store3 list -o out.tsv --rejects rejects.tsv --summary summary.tsv >said 2>&1
is "$? $(holds geheim3 store3 out.tsv rejects.tsv summary.tsv said)" "75 " "a proxy that does not answer is named without its password"
cat >proxy.py <<'P'
import base64, http.server, os
class P(http.server.BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def do_GET(self):
        with open("asked", "a") as f:
            f.write("%s %s\n" % (self.path, base64.b64decode(self.headers.get("Proxy-Authorization", "Basic ").split()[-1]).decode()))
        body = b"\xff\xd8\xff\xe0" + b"x" * 5000 + b"\xff\xd9"
        if self.path.endswith("robots.txt"):
            body = b""
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.send_header("Content-Type", "image/jpeg"); self.end_headers()
        self.wfile.write(body)
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), P)
with open("proxy.port.new", "w") as f: f.write(str(s.server_address[1]))
os.rename("proxy.port.new", "proxy.port")
s.serve_forever()
P
python3 proxy.py &
proxy=$!
trap 'kill $server $proxy 2>/dev/null' EXIT
for _ in $(seq 100); do [ -f proxy.port ] && break; sleep 0.1; done
(umask 077; printf 'http://me:geheim4@127.0.0.1:%s\nnot looked at\n' "$(cat proxy.port)" >proxy.txt)
echo "http://pictures.example.org/d.jpg" >list
# shellcheck disable=SC2086
$FETCH $QUICK --proxy @proxy.txt --proxy-resolves -v --store store4 list -o out.tsv --rejects rejects.tsv --summary summary.tsv >said 2>&1
is "$? $(wc -l <out.tsv)" "0 2" "--proxy @FILE fetches through the proxy that the file names"
grep -q '^http://pictures.example.org/d.jpg me:geheim4$' asked
ok $? "with its name and password"
is "$(holds geheim4 store4 out.tsv rejects.tsv summary.tsv said)" "" "which are written nowhere"
# shellcheck disable=SC2086
$FETCH $QUICK --proxy @none list -o out2.tsv >said 2>&1
is "$? $(cat said)" "66 fetch: cannot open 'none': No such file or directory" "a missing file is named"
printf 'gopher://me:geheim5@127.0.0.1:1\n' >proxy.txt
# shellcheck disable=SC2086
$FETCH $QUICK --proxy @proxy.txt list -o out2.tsv >said 2>&1
is "$? $(grep -c "'proxy.txt'" said) $(holds geheim5 said)" "65 1 " "so is one that holds no proxy, without quoting it"

# --- the pipeline's log -----------------------------------------------------------------------------------------------------
mkdir lists
cp list lists/a.txt
printf 'include $(PIPELINES)/default.conf\nNAME = x\nRUN = run\nSOURCES = lists\nFETCH_FLAGS = --proxy http://me:geheim6@127.0.0.1:1\n' >my.conf
make -f "$TOP/pipelines/installed.mk" BIN="$BIN" SETTINGS=my.conf dataset-facts >said 2>&1
[ $? != 0 ] && grep -q 'fetch' said
ok $? "make shows that fetch ran and failed"
is "$(holds geheim6 said run)" "" "but not its flags"
done_testing
