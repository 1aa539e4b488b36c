# Throughcare. `make` alone lists what there is to make.
# Needs Python 3.11+ and make; everything else is installed into .venv, nothing needs root.

PYTHON ?= python3
ARGS ?=
WORKERS ?= 2
BIN := .venv/bin
UV_VERSION := 0.13.8

# A run starts a hundred processes: what Python has compiled is kept, beside the packages and not beside the sources.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX ?= $(CURDIR)/.venv/bytecode

COMPILE := $(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --no-annotate

.DEFAULT_GOAL := help
.PHONY: help setup demo chaos fuzz simulate mutants proofs bench bench-quick study study-growth up test test-fast check contracts kit coverage asyncapi format lock clean

help:  ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/ready  ## Install everything into .venv, by lock file

.venv/ready: requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "Python's venv module is needed (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@test -x $(BIN)/uv || $(BIN)/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)
	@echo "installing Python packages"
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements/dev.lock
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

demo: setup  ## A year and a half of a synthetic population, and the ledger (ARGS="--episodes 20 --exit")
	@$(BIN)/care demo $(ARGS)

chaos: setup  ## Kill, freeze and cut off everything at random, then account (ARGS="--kills 500 --seed 3")
	@$(BIN)/python -m chaos $(ARGS)

fuzz: setup  ## 100,000 malformed records and as many malformed bodies
	@FUZZ=100000 $(BIN)/pytest -q tests/chaos/test_fuzz.py $(ARGS)

simulate: setup  ## Histories of the real reactor in a simulated world (ARGS="--seeds 0:1000")
	@$(BIN)/python -m chaos.simulation $(ARGS)

mutants: setup  ## Take each guard of the runtime out in turn; fails when no test misses it (ARGS="--only relay")
	@$(BIN)/python -m chaos.mutants $(ARGS)

proofs: setup  ## The long form of every proof, for hours; writes docs/proofs.md (ARGS="--short", "--only chaos")
	@$(BIN)/python -m chaos.proofs $(ARGS)

bench: setup  ## Floor, ours and naive; writes bench/results.json and docs/performance.md (ARGS="--rounds 3")
	@$(BIN)/python -m bench $(ARGS)

bench-quick: setup  ## The same, shorter; fails when a ratio has fallen by a fifth
	@$(BIN)/python -m bench --quick $(ARGS)

study: setup  ## Other frameworks, three services in a row, a rebuild; writes bench/study and docs/performance.md (ARGS="--only chain")
	@$(BIN)/python -m bench.study $(ARGS)

study-growth: setup  ## How ours grows; writes bench/study/growth.json, docs/growth.svg and docs/performance.md (ARGS="--only batch", "--short")
	@$(BIN)/python -m bench.study.growth $(ARGS)

up: setup  ## All services on the backend that is found; Ctrl-C stops them
	@$(BIN)/care up $(ARGS)

test: setup  ## Every rule, fault and refusal, on the backend that is found (BACKEND=auto|given|docker|embedded), by two processes (WORKERS=0: by one)
	@$(BIN)/pytest --numprocesses $(WORKERS) --dist loadscope --no-loadscope-reorder -m "not long" $(ARGS)

test-fast: setup  ## The tests that need no servers
	@$(BIN)/pytest tests/unit tests/contracts $(ARGS)

check: setup asyncapi  ## Lint, format, types, import rules, contract drift
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/care contracts generate --check
	$(BIN)/care contracts diff
	$(BIN)/python deploy/compose/generate.py --check

asyncapi:  ## Read the AsyncAPI document with the official parser (needs Node; skipped with a word where there is none)
	@if command -v npm > /dev/null; then \
		cd tests/contracts/asyncapi && { test -d node_modules || npm ci --ignore-scripts --silent; } && \
		node validate.mjs ../../../shared/contracts/published/asyncapi.yaml; \
	elif [ -n "$$CI" ]; then echo "CI needs Node for the AsyncAPI parser" >&2; exit 1; \
	else echo "no Node here: the AsyncAPI document is not parsed"; fi

kit: setup  ## Build the wheel of the events and the subscriber kit, throughcare-events, into dist/
	@cd kit && ../$(BIN)/hatchling build -t wheel -d ../dist

coverage: setup  ## Make docs/coverage.md from the marks on the tests
	@$(BIN)/care coverage

contracts: setup  ## Generate the published contract, and what Compose says of each service
	@$(BIN)/care contracts generate
	@$(BIN)/python deploy/compose/generate.py

format: setup  ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix-only -q .

lock: .venv/ready  ## Resolve the lock files anew
	$(COMPILE) pyproject.toml -o requirements/service.lock
	$(COMPILE) --extra otel pyproject.toml -c requirements/service.lock -o requirements/service-otel.lock
	$(COMPILE) --all-extras --group dev pyproject.toml -c requirements/service.lock -o requirements/dev.lock

clean:  ## Remove what was installed here
	rm -rf .venv tests/contracts/asyncapi/node_modules tests/contracts/types/node_modules
