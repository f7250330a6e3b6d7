#!/usr/bin/env bash
# The lines of docs/formats.md by which other programs read a manifest: every field as it is, also the ones that readers guess about.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 1
doc=$TOP/docs/formats.md
printf 'path\tlabel\tpdq\txxh128\tnote\n' >m.tsv
printf '%s\t%s\t%s\t%s\t%s\n' a.jpg NA 0000000000000012 12345678901234567890123456789012 '"unclosed' \
    b.jpg 007 1e5 12345678901234567890123456789013 'tab\there' c.jpg null 00 00000000000000000000000000000001 'say "x"' \
    d.jpg True abc 12e30123000000000000000000000000 '\\back' e.jpg None nan 1_000 "'" >>m.tsv
documented() { grep -qF -- "$1" "$doc"; ok $? "docs/formats.md has the line for $2"; }

"$BIN/manifest" to-jsonl m.tsv -o m.jsonl
ok $? "to-jsonl"
/usr/bin/python3 - <<'P'
import json
rows = [line.rstrip('\n').split('\t') for line in open('m.tsv')]
names = rows.pop(0)
plain = lambda s: s.replace('\\t', '\t').replace('\\\\', '\\')
assert [json.loads(line) for line in open('m.jsonl')] == [{n: plain(v) or None for n, v in zip(names, r)} for r in rows]
P
ok $? "it holds every value as text"

documented "awk -F'\\t' '\$4\"\" == before\"\"'" awk
is "$(awk -F'\t' '$4"" == before"" { n++ } { before = $4 } END { print n + 0 }' m.tsv)" 0 "awk tells hashes of digits apart with it"
is "$(awk -F'\t' '$4 == before { n++ } { before = $4 } END { print n + 0 }' m.tsv)" 1 "and does not without"

if command -v mlr >/dev/null; then
    mlr --tsv cat m.tsv | cmp -s - m.tsv
    ok $? "Miller changes nothing"
    json='for (k, v in $*) { $[k] = string(v) }'
    documented "mlr --itsv --ojsonl put '$json'" Miller
    mlr --itsv --ojsonl put "$json" m.tsv | /usr/bin/python3 -c "
import json, sys
assert [json.loads(a) for a in sys.stdin] == [json.loads(b) for b in open('m.jsonl')]"
    ok $? "Miller's JSON is ours"
else
    skip "Miller" "no mlr"
fi

if command -v sqlite3 >/dev/null; then
    documented '.separator "\t" "\n"' sqlite3
    printf '.mode ascii\n.separator "\\t" "\\n"\n.import m.tsv m\n.mode tabs\n.headers on\nselect * from m;\n' | sqlite3 :memory: | cmp -s - m.tsv
    ok $? "sqlite3 gives the file back"
else
    skip "sqlite3" "no sqlite3"
fi

python=
for each in /usr/bin/python3 "$TOP/build/py/bin/python"; do ! "$each" -c 'import pandas' 2>/dev/null || python=$each; done
if [ -n "$python" ]; then
    read="pd.read_csv('m.tsv', sep='\\t', quoting=3, dtype=str, keep_default_na=False)"
    documented "$read" pandas
    "$python" - <<P | cmp -s - m.tsv
import pandas as pd
d = $read
for row in [d.columns, *d.values]: print('\t'.join(row))
P
    ok $? "pandas gives the file back"
else
    skip "pandas" "no pandas"
fi

if command -v Rscript >/dev/null; then
    read="read.delim('m.tsv', quote='', na.strings='', colClasses='character', check.names=FALSE)"
    documented "$read" R
    Rscript -e "write.table($read, 'r.tsv', sep='\t', quote=FALSE, row.names=FALSE)" && cmp -s r.tsv m.tsv
    ok $? "R gives the file back"
else
    skip "R" "no Rscript"
fi

if [ -x "$TOP/build/py/bin/python" ] && "$TOP/build/py/bin/python" -c 'import duckdb' 2>/dev/null; then
    read="read_csv('m.tsv', delim='\\t', quote='', escape='', header=true, all_varchar=true)"
    documented "$read" DuckDB
    "$TOP/build/py/bin/python" - <<P
import duckdb
rows = [tuple(line.rstrip('\n').split('\t')) for line in open('m.tsv')][1:]
read = "$read"
assert duckdb.sql('select * from ' + read).fetchall() == rows
duckdb.sql(f"copy (select * from {read}) to 'm.parquet'")
assert duckdb.sql("select * from 'm.parquet'").fetchall() == rows
P
    ok $? "DuckDB reads it, and writes Parquet"
else
    skip "DuckDB" "no duckdb in build/py"
fi
done_testing
