#!/usr/bin/env bash
# Where the CUDA backend's libraries are looked for: made-up libraries and a made-up plug-in, of CUDA versions that do not exist.
. "$(dirname "$0")/../tap.sh"
if ldconfig -p 2>/dev/null | grep -q libcudnn.so.9; then
    skip_all "finding the libraries" "the loader itself knows a cuDNN here"
fi
unset WINNOW_PLUGIN_DIR CUDA_HOME CUDA_PATH VIRTUAL_ENV CONDA_PREFIX LD_LIBRARY_PATH
cd "$TMPDIR" || exit 1
top=$PWD

# --- the libraries of one CUDA: made MAJOR
library() { # FOLDER FILE TEXT OPTION...
    mkdir -p "$1"
    printf '%s\n' "$3" | ${CC:-cc} -shared -fPIC -Wl,--no-as-needed -Wl,-soname,"$2" -o "$1/$2" -x c - -x none "${@:4}"
}
make_libraries() {
    local d=$top/made/$1 part
    library "$d/cuda" libcudart.so."$1" "int cudaRuntimeGetVersion(int *v) { *v = $1 * 1000 + 20; return 0; }"
    library "$d/cuda" libcublasLt.so."$1" 'int lt;'
    library "$d/cuda" libcublas.so."$1" "int cublasGetProperty(int i, int *v) { *v = i ? i : $1; return 0; }" "$d/cuda/libcublasLt.so.$1"
    library "$d/cudnn" libcudnn.so.9 "unsigned long cudnnGetVersion(void) { return 92603; } unsigned long cudnnGetCudartVersion(void) { return $1 * 1000; }"
    for part in ops cnn graph heuristic engines_precompiled engines_runtime_compiled; do library "$d/cudnn" libcudnn_$part.so.9 'int part;'; done
    mkdir -p "$d/checkout/bin"
    cp "$BIN/train" "$d/checkout/bin/"
    echo 'const void *winnow_backend(void) { return 0; }' | ${CC:-cc} -shared -fPIC -Wl,--no-as-needed -o "$d/checkout/bin/winnow-cuda.so" -x c - -x none \
        "$d/cudnn/libcudnn.so.9" "$d/cuda/libcublas.so.$1" "$d/cuda/libcudart.so.$1" -Wl,--allow-shlib-undefined
}
make_libraries 98
make_libraries 97
library "$top/driver" libcuda.so.1 'int driver;'
train=$top/made/98/checkout/bin/train

flat() { mkdir -p "$2" && cp made/"$1"/cuda/* made/"$1"/cudnn/* "$2"; } # MAJOR FOLDER
new_style() { # MAJOR NVIDIA-FOLDER
    mkdir -p "$2/cudnn/lib" "$2/cu$1/lib"
    cp made/"$1"/cudnn/* "$2/cudnn/lib/"
    cp made/"$1"/cuda/* "$2/cu$1/lib/"
}
old_style() {
    mkdir -p "$2"/{cudnn,cublas,cuda_runtime}/lib
    cp made/"$1"/cudnn/* "$2/cudnn/lib/"
    cp made/"$1"/cuda/libcublas* "$2/cublas/lib/"
    cp made/"$1"/cuda/libcudart* "$2/cuda_runtime/lib/"
}
site=lib/python3.11/site-packages
new_style 98 venv/$site/nvidia
new_style 98 conda/$site/nvidia
new_style 98 modules/nvidia
flat 98 toolkit/lib64
flat 98 loader
mkdir path
printf '#!/bin/sh\necho\necho "%s/modules"\n' "$top" >path/python3
printf '#!/bin/sh\nexit 1\n' >no-python3 && chmod +x path/python3 no-python3

listed() { env "$@" "$train" --list-devices >list 2>err; }
taken() { # FOLDER WHAT: all three from there
    [ "$(grep -cE "^lib(cudart.so.98|cublas.so.98|cudnn.so.9)	yes	[0-9.]+ .*$1/" list)" = 3 ]
    ok $? "$2$([ -s err ] && head -c 300 err)"
}
refused() { # TEXT WHAT SETTING...
    env "${@:3}" "$train" --device cuda --shards x --base y --out z 2>err
    local status=$?
    [ $status = 69 ] && [ "$(wc -l <err)" = 1 ] && grep -q "$1" err
    ok $? "$2: status $status, $(head -c 300 err)"
}

# --- the order
checkout=made/98/checkout/build/cuda/lib
flat 98 $checkout
listed LD_LIBRARY_PATH="$top/loader" CUDA_HOME="$top/toolkit" VIRTUAL_ENV="$top/venv"
taken loader "the loader's folders come first"
listed CUDA_HOME="$top/toolkit" VIRTUAL_ENV="$top/venv" CONDA_PREFIX="$top/conda" PATH="$top/path:$PATH"
taken toolkit/lib64 "then the toolkit"
listed VIRTUAL_ENV="$top/venv" CONDA_PREFIX="$top/conda" PATH="$top/path:$PATH"
taken "$top/venv" "then VIRTUAL_ENV"
listed CONDA_PREFIX="$top/conda" PATH="$top/path:$PATH"
taken "$top/conda" "then CONDA_PREFIX"
listed PATH="$top/path:$PATH"
taken "$top/modules" "then what python3 on PATH knows"
mv path/python3 path/other && cp no-python3 path/python3
listed PATH="$top/path:$PATH"
taken bin/../build/cuda/lib "then build/cuda of the checkout"
grep -q '^libcudart.so.98	yes	98.2 ' list && grep -q '^libcublas.so.98	yes	98.1.2 ' list && grep -q '^libcudnn.so.9	yes	9.26.3 ' list
ok $? "with their versions: $(cut -f3 list | sed 's/ .*//' | tr '\n' ' ')"
export PATH=$top/path:$PATH

# --- two CUDA versions
old_style 97 other/$site/nvidia
listed VIRTUAL_ENV="$top/other"
taken build/cuda/lib "a Python environment of another CUDA is passed over"
train=$top/made/97/checkout/bin/train
listed VIRTUAL_ENV="$top/other"
[ "$(grep -c "	yes	.*$top/other/" list)" = 3 ]
ok $? "the older layout of wheels, one folder for each: $(grep -c "$top/other" list) of 3"
train=$top/made/98/checkout/bin/train
rm -r $checkout/libcudnn*
refused "cudnn/lib/libcudnn.so.9 is for CUDA 97, this build for CUDA 98" "no other cuDNN" VIRTUAL_ENV="$top/other" LD_LIBRARY_PATH="$top/driver"
refused "$top/made/97/cudnn/libcudnn.so.9 is for CUDA 97" "the loader's cuDNN is for another" LD_LIBRARY_PATH="$top/made/97/cudnn:$top/driver"

# --- what is missing
refused "libcudnn.so.9 is not found.*./bootstrap gpu" "no cuDNN" LD_LIBRARY_PATH="$top/driver"
refused "no GPU here: no driver (libcuda.so.1)" "no driver" VIRTUAL_ENV="$top/venv"
rm venv/$site/nvidia/cudnn/lib/libcudnn_ops.so.9 loader/libcudnn_graph.so.9 conda/$site/nvidia/cu98/lib/libcublasLt.so.98 toolkit/lib64/libcublasLt.so.98
refused "libcudnn_ops.so.9 is missing beside $top/venv/$site/nvidia/cudnn/lib/libcudnn.so.9" "a part of cuDNN" VIRTUAL_ENV="$top/venv" LD_LIBRARY_PATH="$top/driver"
refused "libcudnn_graph.so.9 is missing beside $top/loader/libcudnn.so.9" "the same in the loader's folders" LD_LIBRARY_PATH="$top/loader:$top/driver"
refused "cannot load $top/conda/.*libcublas.so.98: libcublasLt.so.98: cannot open" "a part of cuBLAS" CONDA_PREFIX="$top/conda" LD_LIBRARY_PATH="$top/driver"
refused "cannot load libcublas.so.98: libcublasLt.so.98: cannot open" "the same in the loader's folders" LD_LIBRARY_PATH="$top/toolkit/lib64:$top/driver"
echo "not a library" >venv/$site/nvidia/cu98/lib/libcudart.so.98
refused "cannot load $top/venv/.*libcudart.so.98: .*" "a damaged library" VIRTUAL_ENV="$top/venv" LD_LIBRARY_PATH="$top/driver"
readelf -d "$BIN"/winnow-*.so "$BIN/train" | grep -E 'R(UN)?PATH' | grep -q .
[ $? = 1 ]
ok $? "programs and plug-ins name no folder"
done_testing
