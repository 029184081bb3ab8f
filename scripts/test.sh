#!/usr/bin/env bash
# Runs the workspace's tests, or those that the arguments select, against a PostgreSQL that is gone afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."

selection=("$@")
[ $# -gt 0 ] || selection=(--workspace)

runner=(cargo test)
if ! cargo nextest --version >/dev/null 2>&1; then
    echo "test: installing cargo-nextest (once; a few minutes)"
    cargo install --quiet --locked cargo-nextest || echo "test: that failed; plain cargo test does it as well"
fi
if cargo nextest --version >/dev/null 2>&1; then
    runner=(cargo nextest run)
fi

# Built first and called by its path: under `cargo run`, cargo's own environment would reach the tests and rebuild them.
cargo build --quiet --locked -p test-support --bin with-postgres
"${CARGO_TARGET_DIR:-target}/debug/with-postgres" "${runner[@]}" --locked "${selection[@]}"
