#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Starts nginx, a Flask service, a plain Python service and Redis, sends three requests through all
# of them, and stops them. Knows nothing of tracing. Called by deploy/demo.sh as: chain.sh DIRECTORY
set -eu
dir=$1
here=$(cd "${0%/*}" && pwd)
PATH=/usr/sbin:/sbin:$PATH

# Four ports that are free now.
read -r EDGE_PORT SHOP_PORT STOCK_PORT REDIS_PORT < <(/usr/bin/python3 -c '
import socket
s = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
print(*[x.getsockname()[1] for x in s])')
export STOCK_PORT REDIS_PORT

running=()
stop() {
    for pid in "${running[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
}
trap stop EXIT
trap 'exit 1' INT TERM

start() {  # NAME COMMAND...
    local name=$1
    shift
    OTEL_SERVICE_NAME=$name "$@" >"$dir/$name.log" 2>&1 &
    running+=($!)
}
wait_for() {  # NAME PORT
    local attempt
    for ((attempt = 0; attempt < 300; ++attempt)); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$2") 2>/dev/null; then return; fi
        read -rt 0.1 <> <(:) || true  # sleeps without a process, which would be a span
    done
    echo "demo: $1 did not start:" >&2
    tail -n 20 "$dir/$1.log" >&2
    exit 1
}

config=$(<"$here/nginx.conf")
config=${config//@DIR@/$dir}
config=${config//@EDGE_PORT@/$EDGE_PORT}
echo "${config//@SHOP_PORT@/$SHOP_PORT}" >"$dir/nginx.conf"
start redis redis-server --port "$REDIS_PORT" --bind 127.0.0.1 --save '' --dir "$dir"
start stock /usr/bin/python3 -B "$here/stock.py" "$STOCK_PORT"
start shop /usr/bin/python3 -B /usr/bin/gunicorn --bind "127.0.0.1:$SHOP_PORT" --workers 2 \
    --worker-tmp-dir "$dir" --chdir "$here" shop:app
start edge nginx -e "$dir/nginx.log" -p "$dir" -c "$dir/nginx.conf"
wait_for redis "$REDIS_PORT"
wait_for stock "$STOCK_PORT"
wait_for shop "$SHOP_PORT"
wait_for edge "$EDGE_PORT"

for item in tea coffee unicorn; do
    echo "demo: GET /order/$item"
    curl -sS "http://127.0.0.1:$EDGE_PORT/order/$item"
done
