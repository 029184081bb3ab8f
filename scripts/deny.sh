#!/usr/bin/env bash
# Licences, bans and sources of all dependencies; known vulnerabilities as well where their database can be reached.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo deny --version >/dev/null 2>&1; then
    echo "deny: installing cargo-deny (once; a few minutes)"
    if ! cargo install --quiet --locked cargo-deny --version '^0.20'; then
        echo "deny: cargo-deny cannot be installed here; NOT CHECKED" >&2
        exit 0
    fi
fi

checks=(bans licenses sources)
if timeout 60 cargo deny fetch db >/dev/null 2>&1; then
    checks=(advisories "${checks[@]}")
else
    echo "deny: the advisory database cannot be reached; checking ${checks[*]} only"
fi
exec cargo deny --locked check --hide-inclusion-graph "${checks[@]}"
