#!/usr/bin/env bash
# bootstrap's pip lines, and the prefix that NVIDIA's wheels become: on made-up wheels in a folder, without the network.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 1
if ! /usr/bin/python3 -m venv py >/dev/null 2>&1; then
    skip_all "bootstrap's pip lines" "no python3-venv"
fi
unset MAKEFLAGS MAKELEVEL
export PIP_NO_INDEX=1 PIP_FIND_LINKS=$PWD/wheels PIP_CONFIG_FILE=/dev/null HOME=$PWD
mkdir wheels tree tree/packages.d
cp "$TOP/bootstrap" tree/
printf 'all:\n\t@echo built >>made\n' >tree/Makefile
wheel() { # NAME VERSION FILE...
    /usr/bin/python3 - "$@" <<'PYTHON'
import sys, zipfile
name, version, files = sys.argv[1].replace("-", "_"), sys.argv[2], sys.argv[3:]
info = "%s-%s.dist-info/" % (name, version)
with zipfile.ZipFile("wheels/%s-%s-py3-none-any.whl" % (name, version), "w") as z:
    for f in files:
        z.writestr(f, '')
    z.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (sys.argv[1], version))
    z.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    z.writestr(info + "RECORD", "")
PYTHON
}
boot() { (cd tree && ./bootstrap "$@") >out 2>err; }

# --- lines
wheel made-up 1.5 made_up/__init__.py
printf '%s\n' 'pip made-up==1.5 build # a module' 'pip not-there==3 bench # another kind: not asked for' 'pip gone==1 cuda13' >tree/packages.d/a.txt
boot build
ok $? "packages of the kinds asked for are installed: $(tail -n 1 err)"
tree/build/py/bin/python -c 'import made_up' && [ "$(cat tree/made)" = built ]
ok $? "into build/py, and the build goes on"
rm wheels/made_up*
boot build && ! grep -q pip err
ok $? "what is there is not asked for again"
boot deps
[ $? = 75 ] && grep -q 'bootstrap: pip: not-there==3$' err && grep -q 'pip install failed: is the network there' err
ok $? "without the network: status 75 and one line: $(tail -n 1 err)"
echo 'pip loose>=1 build' >tree/packages.d/a.txt
boot build
[ $? = 65 ] && grep -q "'pip loose>=1' is not NAME==VERSION" err
ok $? "a version has to be told: $(tail -n 1 err)"
# npm's lines: scoped names, and a second version of a package under another name. A stand-in writes what npm would.
mkdir bin
cat >bin/npm <<'NPM'
#!/bin/sh
printf '%s\n' "$*" >>asked
for word; do
    case $word in
    *@npm:*) name=${word%%@npm:*} ;;
    ?*@*) name=${word%@*} ;;
    *) continue ;;
    esac
    mkdir -p "build/npm/node_modules/$name"
    printf '{"version": "%s"}\n' "${word##*@}" >"build/npm/node_modules/$name/package.json"
done
NPM
chmod +x bin/npm
printf '%s\n' 'npm @made/up@1.5.0 build' 'npm made@2.0.0 build' 'npm made-3@npm:made@3.0.0 build # another version' >tree/packages.d/a.txt
PATH=$PWD/bin:$PATH boot build
is "$? $(sed 's/.*loglevel=error //' tree/asked)" "0 @made/up@1.5.0 made@2.0.0 made-3@npm:made@3.0.0" "npm's packages, two versions of one among them"
sed -i 's/made@3.0.0/made@3.0.1/' tree/packages.d/a.txt
PATH=$PWD/bin:$PATH boot build
is "$? $(tail -1 tree/asked | sed 's/.*loglevel=error //')" "0 made-3@npm:made@3.0.1" "what is there is not asked for again, another version is"
PATH=$PWD/bin:$PATH boot build
is "$(wc -l <tree/asked)" 2 "each once"
for wrong in 'gpu --cuda 11' 'gpu --cuda' 'build --cuda 12' 'gpu cuda 12'; do
    # shellcheck disable=SC2086
    boot $wrong
    [ $? = 64 ]
    ok $? "bootstrap $wrong: $(tail -n 1 err)"
done

# --- wheels into one prefix
wheel nvidia-x-cu13 1.0 nvidia/cu13/include/x.h nvidia/cu13/include/crt/y.h nvidia/cu13/include/cccl/z.h nvidia/cu13/lib/libx.so.13 nvidia/cu13/lib/libx_static.a
wheel nvidia-y 2.0 nvidia/y/lib/liby_part.so.9 nvidia/y/lib/liby.so.9
(cd wheels && sha256sum ./*.whl | sed 's,\./,,') >sums
wheels() { py/bin/python "$TOP/tools/cuda-wheels" prefix "${bytes:-1}" sums "$@" 2>err; }
mkdir away && mv wheels/nvidia_y* away/
wheels nvidia-x-cu13==1.0 nvidia-y==2.0
[ $? = 75 ] && [ ! -e prefix ] && tail -n 1 err | grep -q 'cannot fetch nvidia-y==2.0: is the network there?'
ok $? "one is out of reach: status 75, no prefix: $(tail -n 1 err)"
mv away/* wheels/ && mv wheels/nvidia_x* away/
wheels nvidia-x-cu13==1.0 nvidia-y==2.0
ok $? "the next run goes on without the one that it had: $(tail -n 1 err)"
[ "$(cd prefix && find . ! -type d | LC_ALL=C sort | tr '\n' ' ')" = "./include/crt/y.h ./include/x.h ./lib/libx.so ./lib/libx.so.13 ./lib/liby.so ./lib/liby.so.9 ./lib/liby_part.so ./lib/liby_part.so.9 ./packages.txt " ] &&
    [ "$(readlink prefix/lib/libx.so)" = libx.so.13 ] && [ ! -e prefix.part ]
ok $? "headers and libraries in one prefix, with links, and nothing beside it"
rm wheels/*
wheels nvidia-x-cu13==1.0 nvidia-y==2.0 && [ ! -s err ]
ok $? "nothing is fetched when it is there"
bytes=1000000000000000000 wheels nvidia-y==2.0
[ $? = 74 ] && [ "$(wc -l <err)" = 1 ] && grep -q 'needs 1000000000.0 GB' err && [ -e prefix/include/x.h ]
ok $? "a disk without room: status 74, one line, and the old prefix stays: $(cat err)"
wheel nvidia-y 2.0 nvidia/y/lib/libother.so.9
wheels nvidia-y==2.0
[ $? = 65 ] && tail -n 1 err | grep -q 'its sha256 differs'
ok $? "another file under the same name: status 65: $(tail -n 1 err)"
wheels nvidia-z==1.0
[ $? = 65 ] && tail -n 1 err | grep -q 'nvidia-z==1.0 has no sha256'
ok $? "a wheel without a sha256 is not fetched: $(tail -n 1 err)"
for p in $(awk '$1 == "pip" && $3 ~ /^cuda/ { print $2 }' "$TOP/packages.d/cuda.txt"); do
    grep -q "^[0-9a-f]\{64\}  $(echo "${p%%==*}" | tr - _)-${p##*==}-.*x86_64.whl$" "$TOP/packages.d/cuda.sha256" || echo "$p"
done >unknown
[ ! -s unknown ]
ok $? "each of ours has one $(tr '\n' ' ' <unknown)"
done_testing
