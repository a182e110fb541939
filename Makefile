# `make demo` and `make test` work on a fresh clone with Python >= 3.11 and make (3.81 will do).
# PYTHON chooses the interpreter, VENV the environment; CONSTRAINTS=constraints.txt installs the
# versions that are known to work together instead of the newest ones.

PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))

.PHONY: help venv demo test fmt lint types golden docs wheel clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1: /p' $(MAKEFILE_LIST)

# Stamps: an environment is installed again only when pyproject.toml changes.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; give one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.core: pyproject.toml $(VENV)/.created
	$(INSTALL) --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.created
	$(INSTALL) --editable '.[data,bench]' --group dev
	@touch $@ $(VENV)/.core

venv: $(VENV)/.dev  ## the environment for working on the project, without torch

demo: $(VENV)/.core  ## judge the gallery with the packaged model
	@$(BIN)/pangolin demo

test: $(VENV)/.dev  ## all tests that need neither torch nor a built wheel
	@$(BIN)/python -m pytest --ignore=tests/train --ignore=tests/package

fmt: $(VENV)/.dev  ## format, and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lint: $(VENV)/.dev  ## check format and style
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: $(VENV)/.dev  ## check types
	@$(BIN)/mypy

golden: $(VENV)/.dev  ## store the packaged model's answers anew
	@$(BIN)/python scripts/make_golden.py

docs: $(VENV)/.dev  ## write docs/cli.md from the commands' help
	@$(BIN)/python scripts/make_docs.py

wheel: $(VENV)/.dev  ## build dist/*.whl and look into it
	@rm -rf dist
	@$(BIN)/python -m build --wheel --outdir dist .
	@$(BIN)/python scripts/check_wheel.py dist/*.whl

clean:  ## remove environments, caches and builds
	@rm -rf .venv .ci-venv dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	@find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
