#!/usr/bin/env bash
# The house rules that a machine can check: layers, vendor headers in one folder, no paths of a machine, no addresses of registries.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
files() { git ls-files -- "$@" 2>/dev/null || find "$@" -type f; }

hits=$(grep -nE '#include "\.\./|#include "stages/' $(files stages | grep '\.[ch]$') | head -3)
[ -z "$hits" ]
ok $? "no stage includes another${hits:+: $hits}"
for header in curl/:lib/http libpsl.h:lib/psl jpeglib.h:lib/image png.h:lib/image webp/:lib/image gif_lib.h:lib/image avif/avif.h:lib/image/avif libheif/:lib/image/heic libde265/:lib/image/heic jxl/:lib/image/jxl lcms2.h:lib/image/colour dnnl.h:lib/tensor/cpu mpi.h:lib/dist/mpi \
    cudnn:lib/tensor/cuda cuda_runtime:lib/tensor/cuda hdf5.h:lib/net xxhash.h:lib/hash seccomp.h:lib/image; do
    name=${header%%:*} home=${header##*:}
    hits=$(grep -lE "#include <[^>]*$name" $(files lib stages | grep '\.[ch]$') | grep -v "^$home/" | head -3 | tr '\n' ' ')
    [ -z "$hits" ]
    ok $? "<$name> is seen in $home only${hits:+, but also in $hits}"
done
# An area's sources include only areas that its module.mk names (directly or through them): the layers.
wrong=
for module in $(find lib -name module.mk | sort); do
    area=${module#lib/}
    area=${area%/module.mk}
    allowed=" $area ${area%/*} "      # a backend sees the front door of what it is a backend of
    queue=$(sed -n "s,^NEEDS\.$area *:= *,,p" "$module")
    while [ -n "${queue// /}" ]; do
        next=
        for a in $queue; do
            case $allowed in *" $a "*) continue ;; esac
            allowed="$allowed$a "
            [ -f "lib/$a/module.mk" ] && next="$next $(sed -n "s,^NEEDS\.$a *:= *,,p" "lib/$a/module.mk")"
        done
        queue=$next
    done
    for inc in $(grep -hoE '#include "[a-z_0-9/]+/[a-z_0-9]+\.h"' lib/"$area"/*.[ch] 2>/dev/null | sed 's/.*"\(.*\)\/[^/]*"/\1/' | sort -u); do
        case $allowed in *" $inc "*) ;; *) [ -d "lib/$inc" ] && wrong="$wrong $area->$inc" ;; esac
    done
done
[ -z "$wrong" ]
ok $? "lib areas include what their module.mk says${wrong:+, but:$wrong}"
hits=$(git grep -nIE '(^|[^A-Za-z0-9_.])/(root|work)/[a-z]|https?://(deb|registry|security)\.' -- . ':!tests/suites/layering.sh' 2>/dev/null | head -3)
[ -z "$hits" ]
ok $? "no path of a machine, no registry's host in a tracked file${hits:+: $hits}"
big=$(git ls-files -z 2>/dev/null | xargs -0 -r du -k 2>/dev/null | awk '$1 > 1024 { print $2 }' | head -3 | tr '\n' ' ')
[ -z "$big" ]
ok $? "no tracked file over 1 MiB${big:+, but $big}"
long=$(files lib stages | grep '\.[ch]$' | xargs -r wc -l | awk '$2 != "total" && $1 > 900 { print $2 }' | tr '\n' ' ')
[ -z "$long" ]
ok $? "no source file over 900 lines${long:+, but $long}"
# The one manner. Each exception is a place still to be brought in line: the lists only shrink.
sources() { files "$@" | grep '\.[ch]$'; }
finds() { # TEXT REGEX EXCEPTIONS FOLDER...: no line of the sources matches REGEX (Perl's), but for files that EXCEPTIONS matches
    local text=$1 regex=$2 but=$3 hits
    shift 3
    hits=$(sources "$@" | grep -vE "^($but)$" | xargs grep -nP "$regex" | head -3 | cut -c1-160)
    [ -z "$hits" ]
    ok $? "$text${hits:+: $hits}"
}
hits=$(files '*.c' '*.h' | xargs awk 'length($0) > 110 { print FILENAME ":" FNR }' | head -3 | tr '\n' ' ')
[ -z "$hits" ]
ok $? "no line of C over 110 columns${hits:+: $hits}"
if command -v clang-format >/dev/null; then
    hits=$(files '*.c' '*.h' | xargs clang-format --dry-run -Werror 2>&1 | grep error | head -3)
    [ -z "$hits" ]
    ok $? "clang-format changes nothing${hits:+: $hits}"
else
    skip "clang-format changes nothing" "no clang-format here"
fi
hits=$(sources lib stages tests | sed 's,.*/,,' | sort | uniq -d | grep -vx main.c | tr '\n' ' ')
[ -z "$hits" ]
ok $? "no file of C has another's name${hits:+: $hits}"
finds "one hash table with open addressing, base/hash_index" '\+ 1\) & \(?[a-z_>.-]*(mask|capacity|slots|size)' \
    'lib/base/hash_index\.[ch]' lib stages
finds "one parser of numbers, base/number" '(^|[^a-zA-Z_])(strto(u?ll?|[dfi]|[iu]max)|ato(i|f|ll?)) *\(' \
    'lib/base/.*|lib/tensor/cuda/.*' lib stages
finds "one escape of TSV fields, manifest/tsv" "'.t' *[?] *\"..t\"" 'lib/manifest/tsv\.c' lib stages
finds "messages say that something is not a thing, never that it is no thing" '"[^"]*(?<![Tt]here )\b(is|are|was|were) no (?!longer|more)[^"]*"[,)]' none lib stages
finds "no banned function" '(?<![a-zA-Z_])(strcpy|strcat|sprintf|gets|atoi|atof|strtok|system|popen)\(' 'lib/tensor/cuda_libraries\.c' lib stages
done_testing
