#!/usr/bin/env bash
# oneDNN 2.6.3 (Debian 12): does a row of dnnl_sgemm depend on how many rows there are?
#
# Expected: C = A B adds up 2048 products for each value; the order of the sum is the kernel's own and the same for every row, so the first
# row comes out with the same bits whether A has 1 row or 8.
# Seen: limited to AVX2 (or on a machine that has no more), nearly all values of the row differ in their last digits: one row is computed by
# another kernel than eight. A classifier whose dense layers run through it gives a picture other probabilities alone than in a batch.
set -eu -o pipefail
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
apt-get -qq download libdnnl2 libdnnl-dev
for package in ./*.deb; do dpkg -x "$package" root; done
cat >rows.c <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "oneapi/dnnl/dnnl.h"
int main(void)
{
    enum { M = 8, N = 256, K = 2048 };
    static float a[M * K], b[K * N], all[M * N], one[N];
    int differ = 0;
    srand(1);
    for (int i = 0; i < M * K; i++) a[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    for (int i = 0; i < K * N; i++) b[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    dnnl_sgemm('N', 'N', M, N, K, 1, a, K, b, N, 0, all, N);
    dnnl_sgemm('N', 'N', 1, N, K, 1, a, K, b, N, 0, one, N);
    for (int i = 0; i < N; i++) differ += memcmp(&all[i], &one[i], sizeof one[i]) != 0;
    const dnnl_version_t *v = dnnl_version();
    printf("%d.%d.%d %d\n", v->major, v->minor, v->patch, differ);
    return 0;
}
C
lib=$(dirname "$(find root -name 'libdnnl.so.2')")
gcc -O1 -Iroot/usr/include rows.c -o rows "$lib/libdnnl.so.2" -Wl,--allow-shlib-undefined
read -r version differ < <(OMP_NUM_THREADS=1 ONEDNN_MAX_CPU_ISA=AVX2 LD_LIBRARY_PATH=$lib ./rows)
[ "$version" = 2.6.3 ]
[ "$differ" -gt 100 ]
echo "as found: oneDNN $version, AVX2: $differ of 256 values of the first row differ between 1 row and 8"
