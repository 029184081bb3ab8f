# Names only; the work is in scripts/, so that it can be run and read by itself.

# Where the binary of a profile ends up; `dev` builds fast, `release` runs fast.
PROFILE ?= release
TARGET  := $(or $(CARGO_TARGET_DIR),target)
IMAGO   := $(TARGET)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))/imago

.PHONY: help setup build run test lint fmt check bench conformance
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Fetch PostgreSQL and the embedding model into .imago/ (once)
	@python3 scripts/setup.py

build: ## Build the imago binary (PROFILE=release)
	cargo build --locked --profile $(PROFILE) -p imago

run: setup build ## Start everything, build one example agent and keep serving
	$(IMAGO) up --example

test: setup ## Run all tests against a PostgreSQL of their own (ARGS="-p api-core")
	@scripts/test.sh $(ARGS)

lint: ## Formatting, clippy, licences and advisories
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	@scripts/deny.sh

fmt: ## Format all code
	cargo fmt --all

check: ## Type-check everything, tests included
	cargo check --locked --workspace --all-targets

bench: setup ## Measure, and print each figure with its floor (ARGS="...")
	@bench/run $(ARGS)

conformance: setup ## Run the contract suites against a fresh stack (ARGS="test_builders.py -k create")
	@python3 scripts/conformance.py --profile $(PROFILE) -- $(ARGS)
