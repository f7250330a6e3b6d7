#!/usr/bin/env bash
# The pages: every relative link and every path they name is there, and the worked example of README.md does what it says.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1

pages="README.md CONTRIBUTING.md NOTES.md $(echo docs/*.md docs/notes/*.md tests/*/README.md tests/fixtures/*/README.md)"
# Links of Markdown, relative to their page; a #heading has to be one of that page (lower case, blanks as dashes).
broken=$(for page in $pages; do
    grep -oE '\]\([^)]+\)' "$page" | sed 's/^](//; s/)$//' | grep -vE '^https?:' | while read -r link; do
        file=${link%%#*}
        target=${file:+$(dirname "$page")/$file}
        target=${target:-$page}
        [ -e "$target" ] || echo "$page: $link"
        case $link in *'#'*) ;; *) continue ;; esac
        sed -n 's/^##* //p' "$target" | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9_\n-' | grep -qx -- "${link#*#}" || echo "$page: $link"
    done
done | head -5 | tr '\n' '|')
[ -z "$broken" ]
ok $? "every relative link leads somewhere${broken:+: $broken}"
# Paths from the top of the tree that a page names in back quotes; <name>, * and {a,b} stand for several.
broken=$(for page in $pages; do
    grep -oE '`(lib|stages|tests|docs|pipelines|web|tools|packages\.d)/[^` ]*`' "$page" | tr -d '`' | sort -u | while read -r path; do
        pattern=$(sed 's/<[a-z]*>/*/g; s/:[0-9]*$//; s/[.,]$//' <<<"$path")
        pattern=${pattern%%\{*}$(grep -q "{" <<<"$pattern" && echo "*")
        compgen -G "$pattern" >/dev/null || compgen -G "$pattern.[ch]" >/dev/null || echo "$page: $path"
    done
done | head -8 | tr '\n' '|')
[ -z "$broken" ]
ok $? "every path that a page names exists${broken:+: $broken}"
# The other way: pages that sources, scripts and manuals send their readers to.
broken=$(grep -rhoE --include='*.[chks15]*' --include='*.py' --include='*.conf' --include=Makefile '(^|[^a-z/])docs/[a-z_/-]+\.(md|[15])' lib stages pipelines tools tests web ./*.mk Makefile |
    grep -oE 'docs/.*' | sort -u | while read -r path; do [ -e "$path" ] || echo "$path"; done | tr '\n' ' ')
[ -z "$broken" ]
ok $? "every page that a source names exists${broken:+: $broken}"
hits=$(grep -rnwE --include='*.[ch]' --include='*.md' --include='*.[15]' 'DESIGN' lib stages docs ./*.md | head -3)
[ -z "$hits" ]
ok $? "no page and no source cites a document that is not here${hits:+: $hits}"

if ! /usr/bin/python3 -c 'import PIL' 2>/dev/null; then
    skip "the worked example of README.md" "no Pillow"
    done_testing
fi
sed -n '/^<!-- The suite pages/,/^```$/p' README.md | grep '^winnow ' >"$TMPDIR/example"
[ "$(wc -l <"$TMPDIR/example")" -ge 6 ]
ok $? "README.md has a worked example"
mkdir -p "$TMPDIR/work/models/base" && cd "$TMPDIR/work" || exit 1
# A network of 16 x 16 pixels stands in for the base model.
ln -s "$TOP/tests/fixtures/tiny-net/tfjs-float32" models/base/inception_v3
/usr/bin/python3 "$TOP/tests/tools/make_scenes.py" pictures 30 1
while read -r line; do
    PATH=$BIN:$PATH bash -eu -o pipefail -c "${line/--size 299/--size 16}" >"$TMPDIR/out" 2>&1 </dev/null
    ok $? "${line%% --*} ... $(head -1 "$TMPDIR/out")"
done <"$TMPDIR/example"
[ -s eval/report.html ] && [ -s review.html ] && [ -s near.tsv ] && [ "$(wc -l <suspects.tsv)" -ge 1 ]
ok $? "and leaves the files that README.md names"
decide=$(grep -oE 'winnow relabel [^`]*' "$TOP/README.md")
awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) c[$i] = i; print "id\tdecision\tlabel" } NR == 2 { print $c["xxh128"] "\tdrop\t" }' split.tsv >decisions.tsv
PATH=$BIN:$PATH bash -c "$decide" >next.tsv 2>"$TMPDIR/out"
[ $? = 0 ] && [ "$(wc -l <next.tsv)" = $(($(wc -l <split.tsv) - 1)) ]
ok $? "$decide $(head -1 "$TMPDIR/out")"
done_testing
