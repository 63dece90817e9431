#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what building, the demonstration and the tests need, from Debian 12 main.
#
#   deploy/setup.sh [build] [demo] [test]      (nothing named: build)
#
# Asks apt only for packages that are missing, as root or through sudo. Services that come with the
# packages (nginx, redis, haproxy) are neither started nor enabled.
# Exit status: 0 all is there, 1 something is missing and could not be installed, 2 wrong usage.
set -eu

build="g++ cmake ninja-build pkg-config libcurl4-openssl-dev zlib1g-dev libspdlog-dev libfmt-dev \
nlohmann-json3-dev libcpp-httplib-dev libcli11-dev libprotozero-dev libgtest-dev libgmock-dev"
demo="python3 python3-flask gunicorn python3-requests python3-redis nginx redis-server curl"
test="python3 python3-flask gunicorn python3-requests python3-aiohttp python3-fastapi python3-uvicorn \
python3-uvloop python3-httpx python3-django python3-gevent python3-venv python3-redis nginx haproxy \
apache2-bin redis-server redis-tools curl wget nodejs default-jdk-headless ruby ruby-webrick perl php-cli \
php-curl libwww-perl binutils procps libcap2-bin protobuf-compiler \
python3-protobuf python3-grpcio wrk openssl git libssl-dev libgnutls28-dev valgrind"
services="nginx redis-server haproxy"

wanted=""
for group in "${@:-build}"; do
    case $group in
        build) wanted="$wanted $build" ;;
        demo) wanted="$wanted $demo" ;;
        test) wanted="$wanted $test" ;;
        *) echo "setup: unknown group '$group'; there are: build demo test" >&2; exit 2 ;;
    esac
done

installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}
missing=""
for package in $wanted; do
    case " $missing " in *" $package "*) continue ;; esac
    installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

give_up() {
    echo "setup: $1" >&2
    echo "setup: missing:$missing" >&2
    echo "setup: to install them: apt-get install --no-install-recommends$missing" >&2
    exit 1
}

command -v apt-get >/dev/null || give_up "this system has no apt-get (made for Debian 12)"
as_root=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || give_up "not root, and there is no sudo"
    as_root="sudo"
    # With a terminal sudo may ask for a password, without one it must not wait for it.
    [ -t 0 ] || sudo -n true 2>/dev/null || give_up "not root, and sudo wants a password"
fi

log=$(mktemp)
policy=/usr/sbin/policy-rc.d
made_policy=""
finish() {
    rm -f "$log"
    [ -z "$made_policy" ] || $as_root rm -f "$policy"
}
trap finish EXIT
trap 'exit 1' INT TERM

# A package must not start its service: the programs are used under other ports by the tests.
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    made_policy=yes
    $as_root chmod 755 "$policy"
fi
new_services=""
for service in $services; do
    case " $missing " in *" $service "*) new_services="$new_services $service" ;; esac
done

echo "setup: installing:$missing" >&2
apt() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" >>"$log" 2>&1; }
# The lists may be absent (a fresh image) or stale, so they are fetched first; without a network the
# cache may still do. If one package can't be had, the others are not held up by it.
apt update || true
# shellcheck disable=SC2086
if ! apt install --no-install-recommends $missing; then
    for package in $missing; do
        apt install --no-install-recommends "$package" || true
    done
fi
wanted=$missing
missing=""
for package in $wanted; do
    installed "$package" || missing="$missing $package"
done
if [ -n "$new_services" ] && [ -d /run/systemd/system ]; then
    # shellcheck disable=SC2086
    $as_root systemctl disable --quiet $new_services >>"$log" 2>&1 || true
fi
if [ -n "$missing" ]; then
    grep '^E: ' "$log" | sort -u | tail -n 8 >&2
    give_up "apt-get could not install everything; what it says stands above"
fi
