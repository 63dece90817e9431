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

# A test says "SKIP: <why>" for each thing that it could not do; a unit test is "Skipped", with
# "needs <what>" on the next line.
log=build/release/Testing/Temporary/LastTest.log
reasons=$(awk '
    function report(why) { line = "  " test ": " why; if (!seen[line]++) print line }
    /^[0-9]+\/[0-9]+ Test(ing)?: / { test = $NF }
    /SKIP: / { sub(/^.*SKIP: /, ""); report($0) }
    unit_test_skipped && /^needs / { report($0) }
    { unit_test_skipped = /: Skipped$/ }' "$log" 2>/dev/null || true)
[ -z "$reasons" ] || printf '\nSkipped, and why:\n%s\n' "$reasons"
printf '\n'
grep -E 'tests passed|tests failed|Total Test time' "$output" || echo "ctest ran no test"
exit "$status"
