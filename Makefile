SHELL := /bin/sh
.DEFAULT_GOAL := help

# The interpreter that builds .venv: make setup PYTHON=/path/to/python3.12
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
PY := $(VENV)/bin/python

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# Compiled files of the packages are written at the first import; several processes share them.
export PYTHONUTF8 := 1

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2} /^##@/ {printf "\n%s\n", substr($$0, 5)}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Build .venv from the lock files (again only when they changed)
	@test -n "$(PYTHON)" || { echo "setup: no python3.11 or python3 found; name one: make setup PYTHON=..." >&2; exit 1; }
	@$(PYTHON) tools/setup_environment.py

##@ API
.PHONY: protos
protos: setup ## Generate the Python stubs from protos/
	@$(PY) tools/generate_stubs.py

.PHONY: stubs-fresh
stubs-fresh: setup ## Compare the committed stubs to what protos/ generates
	@$(PY) tools/generate_stubs.py --check

.PHONY: vendor
vendor: setup ## Copy the foreign .proto files that ours import from their locked wheel
	@$(PY) tools/vendor_protos.py
