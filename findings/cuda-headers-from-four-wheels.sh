#!/usr/bin/env bash
# NVIDIA's wheels on PyPI, CUDA 13.2: which of them a plain C file needs to compile.
#
# Expected: nvidia-cuda-runtime has cuda_runtime_api.h and cuda_fp16.h, so a C file that includes them compiles against this wheel.
# Seen: the first needs crt/host_defines.h, which is in nvidia-cuda-crt; the second, which cublas_v2.h includes, also <nv/target>, which is in
# nvidia-cuda-cccl. None of the wheels requires another one (no Requires-Dist), so pip says nothing and the compiler does.
set -eu -o pipefail
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
python3 -m venv v
add() {
    v/bin/pip -q download --no-deps -d wheels "$1"
    for wheel in wheels/*; do python3 -m zipfile -e "$wheel" tree; done
}
missing() { # HEADER: the file that is not found, or "compiles"
    local said
    said=$(echo "#include <$1>" | LC_ALL=C gcc -Itree/nvidia/cu13/include -x c -c -o /dev/null - 2>&1) && { echo compiles; return; }
    sed -n 's/.*fatal error: \(.*\): No such file.*/\1/p' <<<"$said"
}
add nvidia-cuda-runtime==13.2.75
[ "$(missing cuda_runtime_api.h)" = crt/host_defines.h ]
add nvidia-cuda-crt==13.2.78
[ "$(missing cuda_runtime_api.h)" = compiles ]
[ "$(missing cuda_fp16.h)" = nv/target ]
! grep -h '^Requires-Dist' tree/*.dist-info/METADATA
add nvidia-cuda-cccl==13.2.75
[ "$(missing cuda_fp16.h)" = compiles ]
echo "as found: CUDA 13.2 wheels: cuda_runtime_api.h needs nvidia-cuda-crt, cuda_fp16.h needs nvidia-cuda-cccl, and no wheel requires another"
