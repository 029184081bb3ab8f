#!/usr/bin/env bash
# Sees to it that tests find a `redis-server` to start, where that can be done without asking anybody: with apt, as root.
# The package's own service is neither started nor enabled. Elsewhere it says what is missing; the tests say so, too.
set -euo pipefail

if command -v redis-server >/dev/null; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "redis: redis-server is missing, so tests of shared rate limits will check nothing (Debian and Ubuntu: apt install redis-server)"
    exit 0
fi
echo "redis: installing redis-server (once)"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
install() {
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends redis-server >/dev/null
}
install || { apt-get update --quiet >/dev/null && install; } || {
    echo "redis: that failed, so tests of shared rate limits will check nothing"
    exit 0
}
if command -v systemctl >/dev/null; then
    systemctl disable --quiet redis-server 2>/dev/null || true
fi
