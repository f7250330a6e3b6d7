#!/usr/bin/env bash
# pipelines/expand-pages, with a gallery-dl that is a script, then with the real one and a board on the loopback.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 2
mkdir bin s s/source_urls
cat >bin/gallery-dl <<'G'
#!/bin/sh
for page; do :; done
printf '%s\n' "$*" >>asked
case $page in
*broken*) echo "[error] no"; exit 4 ;;
*empty*) exit 0 ;;
*) printf 'https://pictures.test/%s/1.jpg\n| https://pictures.test/second-choice.jpg\nytdl:https://x\nhttps://pictures.test/2.jpg\n' "${page##*/}" ;;
esac
G
chmod +x bin/gallery-dl
export PATH=$PWD/bin:$PATH
printf '# remark\nhttps://site.test/one\r\n\n  https://site.test/two  \nfile:///etc/passwd\nhttps://site.test/$(touch pwned)\n--exec=touch\n' >s/source_urls/cat.txt
printf '\xef\xbb\xbfhttps://site.test/three' >s/source_urls/dog.txt
E=$TOP/pipelines/expand-pages
$E --limit 5 s out 2>err
is $? 0 "two lists of pages"
is "$(tr '\n' ' ' <out/raw_data/cat/urls_cat.txt)" \
    'https://pictures.test/one/1.jpg https://pictures.test/2.jpg https://pictures.test/two/1.jpg https://pictures.test/$(touch pwned)/1.jpg ' \
    "become lists of addresses, each address once, second choices left out"
is "$(wc -l <out/raw_data/dog/urls_dog.txt)" 2 "one a class"
[ ! -e pwned ]
ok $? "no line reaches a shell"
is "$(grep -c 'not a web address' err)" 2 "what is not a web address is named"
is "$(head -n 1 asked)" "--resolve-urls --sleep-request 1 -- https://site.test/one" "gallery-dl is asked as its manual says"
: >asked
touch -d yesterday out/raw_data/cat/urls_cat.txt
before=$(stat -c %Y out/raw_data/cat/urls_cat.txt)
$E s out 2>/dev/null
is "$(wc -l <asked) $(stat -c %Y out/raw_data/cat/urls_cat.txt)" "0 $before" "a second time nothing is asked and no file is touched"
echo https://site.test/four >>s/source_urls/dog.txt
sed -i 's,three,three\n,' s/source_urls/dog.txt
$E s out 2>/dev/null
is "$(wc -l <asked) $(wc -l <out/raw_data/dog/urls_dog.txt)" "1 3" "a new page is asked alone"
: >asked
find out/pages -name '*.txt' -exec touch -d '10 days ago' {} +
$E s out 2>/dev/null
is "$(wc -l <asked)" 5 "old answers are asked for again"
: >asked
sed -i 's/echo "\[error\] no"; exit 4/exit 4/; s/\*broken\*/*one*/' bin/gallery-dl
$E --max-age 0 s out 2>err
is "$? $(grep -c 'its last answer is used' err) $(grep -c one/1.jpg out/raw_data/cat/urls_cat.txt)" "0 1 1" "a page that fails keeps its last answer"
echo https://site.test/empty >alone.txt
$E alone.txt out2 2>err
is "$?" 75 "nothing from any page: try later"
$E nowhere out2 2>/dev/null
is "$?" 66 "no such list"
$E --max-age x s out2 2>/dev/null
is "$?" 64 "a number that is none"
(PATH=/usr/bin:/bin; mkdir -p nodl; for t in bash dirname basename find sort sed grep mkdir; do ln -sf "$(command -v $t)" nodl/; done; PATH=$PWD/nodl bash "$E" s out3 2>err)
is "$?" 69 "no gallery-dl"
printf 'NAME = t\nSOURCES =\nPAGES = %s/s\nPAGES_FLAGS = --max-age 3\n' "$TMPDIR" >t.conf
(cd "$TOP" && make -n dataset SETTINGS="$TMPDIR/t.conf" RUN="$TMPDIR/run" BIN="$BIN" BUILD="$BUILD") >plan 2>err
grep -q "expand-pages --max-age 3 --cache $TMPDIR/run/pages/cache $TMPDIR/s $TMPDIR/run/pages/expanded" plan &&
    sed ':a; /\\$/ { N; s/\\\n//; ba }' plan | grep -q "fetch .*-o $TMPDIR/run/fetched.tsv *$TMPDIR/run/pages/expanded"
ok $? "make dataset expands PAGES and fetches what comes of them"
# --- the real one ---
PATH=${PATH#*:}
if ! command -v gallery-dl >/dev/null; then
    skip "the real gallery-dl" "not installed"
    done_testing
fi
port=$(free_port)
python3 "$TOP/tests/tools/board.py" "$port" "$TMPDIR/birds-are-back" &
trap 'kill $!' EXIT
B=http://127.0.0.1:$port
for _ in $(seq 50); do curl -s -o /dev/null "$B/cats/threads.json" && break; sleep 0.1; done
printf '{"extractor": {"retries": 0, "vichan": {"here": {"root": "%s"}}}}' "$B" >here.json
export GALLERY_DL_FLAGS="-c $PWD/here.json"
expand() { # BOARD ARGUMENT...: the number of pictures listed, and the exit status
    local board=$1
    shift
    mkdir -p "real/$board"
    echo "$B/$board/index.html" >"real/$board/$board.txt"
    "$E" --wait 0 "$@" "real/$board" "real/$board-out" 2>err
    local status=$?
    echo "$(grep -c '/src/.*jpg' "real/$board-out/raw_data/$board/urls_$board.txt") $status"
}
is "$(expand cats)" "6 0" "a page of pages: the pictures of its three threads"
is "$(expand cats --max-age 0 --limit 3)" "3 0" "--limit counts over the threads together"
is "$(expand dogs)" "4 0" "one of three threads is gone: the pictures of the others"
[ "$(grep -c 'only a part of .*tried again' err) $(grep -c "404" err)" = "1 1" ]
ok $? "it is said, and what failed: $(paste -sd'|' err)"
is "$(expand dogs; cat err)" "4 0
$(cat err)" "a page of which a part failed is asked again the next time, and keeps what it had"
is "$(expand birds)" "0 75" "all threads are gone: no page answered"
grep -q 'the site refused\|not there\|error' err
ok $? "with the reason: $(head -n 1 err)"
: >birds-are-back
is "$(expand birds)" "6 0" "they are back: it was asked again"
done_testing
