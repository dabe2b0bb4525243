# Everything a checkout needs, with Python 3.11 or newer and make; uv is used where there is one (`make UV= …`: not).
# Without make: see README.md, "Without make".

SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

# The first Python that is new enough; PYTHON=/path/to/python names another.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
UV ?= $(shell command -v uv 2>/dev/null)

VENV := .venv
BIN := $(VENV)/bin
ifeq ($(UV),)
  # An environment that uv once made has no pip.
  INSTALL = $(BIN)/python -c 'import pip' 2>/dev/null || $(BIN)/python -m ensurepip >/dev/null; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check
else
  INSTALL = $(UV) pip install --quiet --compile-bytecode --python $(BIN)/python
endif
LOCK = $(UV) pip compile --quiet --universal --generate-hashes

# What `ropa demo` runs on: the newest of the two installations there can be (an editable one follows the sources).
SOURCES := $(shell find ropa connectors examples -name __pycache__ -prune -o -type f -print 2>/dev/null)
READY = $(if $(wildcard $(VENV)/installed-dev),$(VENV)/installed-dev,$(VENV)/installed-demo)

.PHONY: help demo test test-engines servers lint types imports docs docs-check startup campaigns year lock lock-check check clean

help:  ## this list
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' Makefile | expand -t 16

demo: $(READY)  ## the whole loop on generated people: register, plan, approval, purge, evidence, report
	@dir=ropa-demo; n=1; while [ -e "$$dir" ]; do n=$$((n + 1)); dir=ropa-demo-$$n; done; \
	set -x; $(BIN)/ropa demo "$${DIR:-$$dir}"

test: $(VENV)/installed-dev  ## the tests; ARGS="…" goes to pytest
	$(BIN)/pytest -n 2 $(ARGS)

servers:  ## PostgreSQL and MariaDB, which the tests start for themselves (Debian, Ubuntu; macOS: it says how)
	@.ci/servers

lint: $(VENV)/installed-dev  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-dev  ## mypy --strict
	$(BIN)/mypy

imports: $(VENV)/installed-dev  ## who may import whom (.importlinter)
	$(BIN)/lint-imports --no-logo

docs: $(VENV)/installed-dev  ## write the generated pages of docs/reference and docs/tutorial anew
	$(BIN)/python tools/make_docs.py

docs-check: $(VENV)/installed-dev  ## generated pages are up to date, links resolve
	$(BIN)/python tools/make_docs.py --check
	$(BIN)/python tools/check_docs.py

startup: $(VENV)/installed-dev  ## how long `ropa --help` takes beside `import typer`
	$(BIN)/python benchmarks/startup.py

test-engines: $(VENV)/installed-dev  ## every test of register, sweep, ledger and schedule on SQLite and on PostgreSQL
	$(BIN)/pytest -n 2 --state-engine=both $(ARGS)

campaigns: $(VENV)/installed-dev  ## the long campaigns: many thousands of random cases, about half an hour
	ROPA_CAMPAIGN=$(or $(CASES),20000) $(BIN)/pytest -n 2 -o timeout=3600 $(ARGS)

year: $(VENV)/installed-dev  ## a simulated year of nights, judged from outside; SEED=n NIGHTS=n
	ROPA_YEAR=$(or $(NIGHTS),365) ROPA_YEAR_SEED=$(SEED) $(BIN)/pytest -s -p no:randomly -o timeout=3600 tests/acceptance/night

lock:  ## compile requirements/*.txt anew (needs uv)
	@test -n "$(UV)" || { echo "make lock needs uv: https://docs.astral.sh/uv"; exit 1; }
	$(LOCK) pyproject.toml -o requirements/core.txt
	$(LOCK) pyproject.toml --extra all -o requirements/all.txt
	$(LOCK) pyproject.toml --extra all --group dev -o requirements/dev.txt
	$(LOCK) --python-version 3.11 requirements/build.in -o requirements/build.txt

lock-check:  ## every requirement is pinned by hash, no lock names a host, pyproject.toml and locks agree
	$(or $(PYTHON),python3) tools/check_locks.py $(if $(UV),--uv $(UV))

check: lint types imports docs-check lock-check test  ## all of it

clean:  ## remove the virtual environment, caches and the demonstration
	rm -rf $(VENV) ropa-demo ropa-demo-[0-9]* build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- setting up -----------------------------------------------------------------------------------------------------

$(BIN)/python:
	@test -n "$(PYTHON)" || { \
		echo "ropa needs Python 3.11 or newer, and there is none on the PATH."; \
		echo "Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1; }
ifeq ($(UV),)
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
else
	$(UV) venv --quiet --python $(PYTHON) $(VENV)
endif

$(VENV)/installed-demo: $(BIN)/python requirements/core.txt requirements/build.txt pyproject.toml README.md $(SOURCES)
	@echo "installing what ropa needs into $(VENV), pinned by hash"
	@$(INSTALL) --require-hashes -r requirements/core.txt -r requirements/build.txt
	@$(INSTALL) --no-deps --no-build-isolation --force-reinstall .
	@touch $@

$(VENV)/installed-dev: $(BIN)/python requirements/dev.txt pyproject.toml
	@echo "installing ropa and the tools of its developers into $(VENV), pinned by hash"
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q ropa connectors
	@touch $@
