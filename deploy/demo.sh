#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds Remora and shows it at work: stock programs (nginx, Flask under
# gunicorn, Python's http.server, Redis) run under `remora run`, are sent three requests of which one
# fails, and the traces are printed. Needs no root but for apt. Leaves only build/release behind.
set -euo pipefail
cd "$(dirname "$0")/.."

deploy/setup.sh build demo

dir=$(mktemp -d "${TMPDIR:-/tmp}/remora-demo.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM

echo "demo: building Remora into build/release (log: only if it fails)"
if ! { cmake --preset release &&
       cmake --build --preset release --parallel "$(nproc)" --target remora remora_preload; } \
       >"$dir/build.log" 2>&1; then
    tail -n 40 "$dir/build.log" >&2
    echo "demo: the build failed; its last lines stand above" >&2
    exit 1
fi

echo "demo: build/release/remora run -- deploy/demo/chain.sh"
echo
build/release/remora run -- deploy/demo/chain.sh "$dir"
