SHELL := /bin/sh
.DEFAULT_GOAL := help

# The interpreter that .venv is made with, remembered from then on: make setup PYTHON=python3.12
PYTHON ?= $(shell command -v python3.11 || command -v python3)
ifeq ($(origin PYTHON),file)
SETUP_OPTIONS :=
else
SETUP_OPTIONS := --interpreter-was-chosen
endif

VENV := .venv
PY := $(VENV)/bin/python
# buf runs its plugins, and the checks their tools, by name.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

# More words for the command behind a target: make test ARGS="-k outbox"
ARGS ?=

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", substr($$1, 1, index($$1 ":", ":") - 1), $$2 } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) }' $(MAKEFILE_LIST)

##@ The development system
.PHONY: up
up: setup ## Start everything in the foreground and keep it running (Ctrl-C ends it)
	@exec $(VENV)/bin/kongflow up $(ARGS)

.PHONY: down
down: setup ## End what `kongflow up --detach` started
	@exec $(VENV)/bin/kongflow down $(ARGS)

.PHONY: reset
reset: setup ## Empty the development system's data, after asking
	@exec $(VENV)/bin/kongflow reset $(ARGS)

.PHONY: demo
demo: setup ## Run an example program, send it six events and show their ways
	@exec $(VENV)/bin/kongflow demo $(ARGS)

.PHONY: bench
bench: setup ## Measure the running system, and its queue beside others once (with ARGS only the system)
	@$(PY) -m bench $(ARGS)
	@test -n '$(ARGS)' || $(MAKE) --no-print-directory bench-queue ARGS="--rounds 1"

.PHONY: bench-queue
bench-queue: setup ## Measure the worker queue beside other queues: ARGS="--rounds 1 --measure drain"
	@$(PY) -m tools.setup_bench_peers
	@exec $(PY) -m bench.queue $(ARGS)

##@ Checks and tests
.PHONY: setup
setup: ## Make .venv from the lock files (does nothing when it is up to date)
	@test -n "$(PYTHON)" || { echo "setup: no python3.11 and no python3 on PATH; make setup PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" tools/setup_environment.py $(SETUP_OPTIONS)

.PHONY: node
node: setup ## Install the npm packages of tests and examples from their locks (as setup does)
	@$(PY) tools/setup_node.py

.PHONY: check
check: setup ## Run all static checks, or some: make check ARGS="types lint"
	@$(PY) tools/check.py $(ARGS)

.PHONY: test
test: setup node ## Run all tests; pytest's words in ARGS: make test ARGS="services/events -k match"
	@$(PY) -m pytest $(ARGS)

.PHONY: test-unit
test-unit: setup ## Run the tests that start nothing
	@$(PY) -m pytest $(wildcard libs/*/tests/unit services/*/tests/unit cli/tests/unit) $(ARGS)

.PHONY: test-e2e
test-e2e: setup node ## Run the tests that start the whole system
	@$(PY) -m pytest -m e2e $(ARGS)

.PHONY: faults
faults: setup ## Kill and stop processes under load: make faults ARGS="--seed 7 --events 1000"
	@$(PY) -m tests.faults $(ARGS)

.PHONY: faults-queue
faults-queue: setup ## The same in the middle of the worker queue: ARGS="--seed 7 --jobs 1000"
	@$(PY) -m tests.faults.queue_campaign $(ARGS)

.PHONY: differential
differential: setup node ## Compare filters with the published SDK's: ARGS="--pairs 500000 --seed 7"
	@$(PY) -m tests.differential $(ARGS)

.PHONY: format
format: setup ## Format all Python files and apply the linter's safe fixes
	@ruff check --quiet --fix-only .
	@ruff format --quiet .

##@ Generated and locked files
.PHONY: protos
protos: setup ## Generate the Python stubs and docs/kinds.md from protos/, and the types in docs/events.md
	@$(PY) tools/generate_stubs.py
	@$(PY) tools/generate_kinds_page.py
	@$(PY) tools/generate_events_page.py

.PHONY: stubs-fresh
stubs-fresh: setup ## Compare the committed stubs to what protos/ generates
	@$(PY) tools/generate_stubs.py --check

.PHONY: vendor
vendor: setup ## Copy the foreign .proto files that ours import from their locked wheel
	@$(PY) tools/vendor_protos.py

.PHONY: lock
lock: setup ## Lock what the pyproject.toml files declare: make lock ARGS="--upgrade grpcio"
	@$(PY) tools/lock_dependencies.py $(ARGS)
	@$(MAKE) --no-print-directory setup vendor

.PHONY: lock-node
lock-node: setup ## Lock what the package.json files declare
	@$(PY) tools/setup_node.py --lock

.PHONY: lock-bench-queue
lock-bench-queue: setup ## Lock the queues that bench-queue compares with
	@$(PY) -m tools.setup_bench_peers --lock

.PHONY: clean
clean: ## Remove the environment and all caches; the development system's data stays
	@rm -rf $(VENV) .venv-bench .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.kongflow/*' -prune -exec rm -rf {} +
	@find . -name node_modules -type d -not -path './.kongflow/*' -prune -exec rm -rf {} +
