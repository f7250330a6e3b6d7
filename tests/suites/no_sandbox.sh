#!/usr/bin/env bash
# --no-sandbox decodes in the program itself: the same tables, files and refusals as in the workers, for every kind of picture there is here.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 1
cp -r "$TOP"/tests/fuzz/corpus/{jpeg,png,webp,gif} .
cp "$TOP/tests/formats/pictures/a.png" png/noise.png
echo '<html>' >jpeg/page.jpg
: >png/empty.png
{ printf 'path\tlabel\tsplit\n'; find jpeg png webp gif -type f | sort | awk -F/ -v OFS='\t' '{ print $0, $1, NR % 4 ? "train" : "val" }'; echo 'nowhere.png	png	train'; } >in.tsv
rows=$(($(wc -l <in.tsv) - 1))
both() { # WHAT COMMAND...: with and without, -o out and --rejects; in folders of their own, compared whole
    local what=$1
    shift
    rm -rf w n
    for how in w n; do
        mkdir -p $how/made
        "$BIN/$1" "${@:2}" -j2 $([ $how = n ] && echo --no-sandbox) --rejects $how/rejects.tsv -o $how/out in.tsv >$how/stdout 2>$how/stderr
        echo $? >$how/status
        [ -d made ] && mv made $how/
        mv look.* $how/ 2>/dev/null
    done
    diff -r w n >difference && [ "$(cat w/status)" = 0 ]
    ok $? "$what$([ -s difference ] && echo ": $(head -c 300 difference | tr '\n' '|')$(cat n/stderr)")"
}
both "validate" validate --min-bytes 0
[ $(($(wc -l <n/out) + $(wc -l <n/rejects.tsv) - 2)) = "$rows" ] && for why in not-found not-a-picture empty-file decode-truncated too-many-pixels; do grep -q "validate	$why" n/rejects.tsv || echo $why; done >missing && [ ! -s missing ]
ok $? "every row is kept or rejected, for the reasons that are there $(tr '\n' ' ' <missing)"
both "validate --header-only --icc" validate --min-bytes 0 --header-only --icc
both "validate --allow-truncated" validate --min-bytes 0 --allow-truncated
both "validate with rules" validate --min-bytes 1k --max-side 64 --max-aspect 1.5 --max-frames 1 --formats png,gif,webp --modes rgb,palette,rgb-alpha
both "augment as JPEG, with everything" augment --variants 2 --out made --spec rotation=20,shift=0.1,shear=0.1,zoom=0.2,channel=20,flip=0.5,crop=0.8,brightness=0.2,contrast=0.2,jpeg=30:80:0.5,blur=1,erase=0.5,vflip=0.5,fill=reflect
[ "$(find n/made -type f | wc -l)" -gt 20 ]
ok $? "made files are there"
both "augment as PNG, to squares" augment --variants 1 --out made --format png --size 24 --allow-truncated
both "augment as WebP, with a page" augment --variants 1 --out made --format webp --quality 60 --sheet look.html --sheet-rows 40
both "augment, a sheet alone" augment --variants 2 --sheet look.png
both "pack" pack --size 24
both "pack as JPEG, area" pack --size 32 --encoding jpeg --quality 80 --resize area --allow-truncated
both "pack as tar files, lanczos" pack --size 20 --format webdataset --resize lanczos --orientation none
both "pack, as the browser resizes" pack --size 28 --resize tfjs
# classify takes pictures or a manifest, and rejects as the others do
for how in "" --no-sandbox; do
    "$BIN/classify" --model "$TOP/tests/fixtures/tiny-net/tfjs-float32" --device ref $how --rejects "c$how.rejects" -o "c$how.tsv" in.tsv 2>/dev/null
    echo $? >"c$how.status"
done
cmp c.tsv c--no-sandbox.tsv && cmp c.rejects c--no-sandbox.rejects && cmp c.status c--no-sandbox.status && [ "$(wc -l <c.tsv)" -gt 15 ]
ok $? "classify"
done_testing
