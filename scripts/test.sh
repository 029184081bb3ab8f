#!/usr/bin/env bash
# Runs the workspace's tests, or those that the arguments select, against a PostgreSQL that is gone afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/redis.sh

if ! cargo nextest --version >/dev/null 2>&1; then
    echo "test: installing cargo-nextest (once; a few minutes)"
    cargo install --quiet --locked cargo-nextest || echo "test: that failed; plain cargo test does it as well"
fi
runner=(cargo test)
if cargo nextest --version >/dev/null 2>&1; then
    runner=(cargo nextest run)
fi

# The journeys run the imago binary, and everything runs under with-postgres. Built in one go with the tests, so that
# both share their dependencies.
if [ $# -eq 0 ]; then
    set -- --workspace
    cargo build --locked --workspace --bins --tests
else
    cargo build --locked --bins -p test-support
    case " $* " in *e2e*) cargo build --locked -p imago ;; esac
fi
exec "${CARGO_TARGET_DIR:-target}/debug/with-postgres" "${runner[@]}" --locked "$@"
