# kOS Agent Deployment Scheduler. `make` alone lists what there is to do.
# Only Python 3.11+ (with venv), git and make are needed for `make run`.

PORT ?= 8000
VAR ?= var
DEMO ?= 1
KEEP ?=
PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
NODE := $(shell command -v npm 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help run test check lint e2e bench setup dev-setup system-packages frontend \
        frontend-deps test-frontend test-fast executors-test nightly docs screens

help: ## list these targets
	@echo "kOS Agent Deployment Scheduler"
	@echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' \
	    $(MAKEFILE_LIST)

run: setup ## start everything; PORT=8000 VAR=var DEMO=1 KEEP=1 (Ctrl-C leaves agents)
	@exec env KOS_VAR="$(abspath $(VAR))" KEEP="$(KEEP)" $(BIN)/python manage.py up \
	    --port "$(PORT)" $(if $(filter 0 no false,$(DEMO)),--no-demo,--demo)

test: dev-setup system-packages test-frontend ## set up what is needed, run every test
	@$(BIN)/python -m pytest -m alone
	@$(BIN)/python -m pytest -m "not alone" -n $(WORKERS) --dist loadfile

check: lint test-fast test-frontend ## what must be clean before a commit

lint: dev-setup ## format, lint, types, import contracts, missing migrations
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary agents scheduling monitor kos_scheduler
	@$(BIN)/lint-imports --no-cache >$(VENV)/lint-imports.txt || \
	    { cat $(VENV)/lint-imports.txt; exit 1; }
	@KOS_VAR="$$(mktemp -d)" $(BIN)/python manage.py makemigrations --check --dry-run

test-fast: dev-setup ## the tests that need no running server and no browser
	$(BIN)/python -m pytest -n 2 tests/unit tests/db tests/executors tests/house

nightly: dev-setup ## the property tests on 10 000 examples each, all zones of the world
	@HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest -n 2 -o timeout=0 \
	    $$(grep -rlE "hypothesis|HYPOTHESIS_PROFILE" --include "test_*.py" tests/unit tests/db)

executors-test: dev-setup system-packages ## every promise in each environment, for real
	@$(BIN)/python -m pytest -v tests/executors

e2e: dev-setup system-packages ## the tests in a real browser
	$(BIN)/python -m pytest tests/e2e

bench: dev-setup ## measure bursts, dispatch and due precision; a table and JSON
	@$(BIN)/python -m bench.bench

docs: dev-setup ## write docs/run_states.md from the table of states
	@$(BIN)/python -m tools.run_states

screens: dev-setup system-packages ## take the pictures in docs/screens anew
	@$(BIN)/python -m tools.screens

frontend: frontend-deps ## build frontend/dist (needs Node.js)
	npm --prefix frontend run build

setup: ## make .venv and install the pins, if they changed
	@tools/setup_venv "$(PYTHON)" $(VENV) requirements.txt

dev-setup: setup ## the same with what tests and linters need
	@tools/setup_venv "$(PYTHON)" $(VENV) requirements-dev.txt

system-packages: ## install what the tests use beyond pip, if we may
	@tools/system_packages

frontend-deps:
ifneq ($(NODE),)
	@cd frontend && if [ -f package-lock.json ] && \
	    ! cmp -s package-lock.json node_modules/.kos-lock; then \
	    npm ci --no-audit --no-fund --loglevel=error && \
	    cp package-lock.json node_modules/.kos-lock; fi
endif

test-frontend: frontend-deps ## type check and test the browser part (needs Node.js)
ifneq ($(NODE),)
	@if [ -f frontend/package.json ]; then \
	    npm --prefix frontend run --silent check && \
	    npm --prefix frontend run --silent test; fi
else
	@echo "SKIPPED the front end's own tests: Node.js (npm) is not installed"
endif
