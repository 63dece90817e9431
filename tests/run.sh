#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sets everything up and runs the whole test suite. Tests that need what this machine doesn't have
# are skipped; what and why is listed at the end. Arguments go to ctest, e.g. -R redis.
#
# Exit status: that of ctest; 1 when the build could not be set up.
set -euo pipefail
cd "$(dirname "$0")/.."

deploy/setup.sh build
deploy/setup.sh demo test ||
    echo "run.sh: going on; tests that need these packages will be skipped" >&2

cmake --preset release
cmake --build --preset release --parallel "$(nproc)"

output=$(mktemp)
trap 'rm -f "$output"' EXIT
status=0
ctest --preset release --parallel "$(nproc)" "$@" | tee "$output" || status=$?

# A test says "SKIP: <why>" for each thing that it could not do.
log=build/release/Testing/Temporary/LastTest.log
if [ -f "$log" ] && grep -q 'SKIP: ' "$log"; then
    printf '\nSkipped, and why:\n'
    awk '/^[0-9]+\/[0-9]+ Test(ing)?: / { test = $NF }
         /SKIP: / { sub(/^.*SKIP: /, ""); line = "  " test ": " $0; if (!seen[line]++) print line }' \
        "$log"
fi
printf '\n'
grep -E 'tests passed|tests failed|Total Test time' "$output" || echo "ctest ran no test"
exit "$status"
