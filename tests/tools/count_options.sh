#!/bin/bash
# count_options.sh [BIN]: counts the options of each program that it does not share with all others, and lists
# those that occur in no pipeline and on no page of docs/ outside the manuals and notes.
set -eu
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/../.."
bin=${1:-bin}
family=' --help --version --verbose --quiet --progress --output --root --allow-outside --rejects --max-rejects --jobs --threads --seed '
pages=$(git ls-files pipelines README.md 'docs/*.md' | grep -v ^docs/notes/)
total=0
for stage in stages/*/; do
    name=$(basename "$stage") own=() rare=()
    [ -x "$bin/$name" ] || continue
    while read -r option; do
        [[ $family != *" $option "* ]] || continue
        own+=("$option")
        # shellcheck disable=SC2086 # a list of names without blanks
        grep -qE -e "(^|[^-[:alnum:]])$option([^-[:alnum:]]|\$)" $pages || rare+=("$option")
    done < <("$bin/$name" --help-table | cut -f1 | grep '^--')
    printf '%-18s %3d  %s\n' "$name" ${#own[@]} "${rare[*]:-}"
    total=$((total + ${#own[@]}))
done
printf '%-18s %3d\n' all $total
