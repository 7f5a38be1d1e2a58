# Every target sets up what it needs, once: a change of pyproject.toml or of the constraints sets up again.
# PYTHON chooses the interpreter of .venv, for example `make test PYTHON=python3.12`.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := constraints/py311-cpu.txt
INSTALL := $(BIN)/python -m pip install --quiet --no-compile -c $(CONSTRAINTS)
# What pip does with one core. Files that are no Python (templates) are passed over.
COMPILE := $(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null || true

CORE := $(VENV)/.core
DEV := $(VENV)/.dev

.PHONY: help setup demo check test journey bench clean
.DEFAULT_GOAL := help

help:
	@echo "make setup     everything for working on genwright, in $(VENV)"
	@echo "make demo      train on real digits for a minute, and leave a page to look at"
	@echo "make check     lint, format, types"
	@echo "make test      all tests but the slow ones"
	@echo "make journey   the slow ones: the command line on real data"
	@echo "make bench     which benchmarks there are"
	@echo "make clean     remove $(VENV) and caches; runs stay"

$(BIN)/pip:
	$(PYTHON) -c 'import sys; sys.exit("genwright needs Python 3.11 or later" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv --clear $(VENV)

$(CORE): pyproject.toml $(CONSTRAINTS) | $(BIN)/pip
	@echo "installing genwright into $(VENV): about a minute"
	$(INSTALL) -e .
	@$(COMPILE)
	@touch $@

$(DEV): pyproject.toml $(CONSTRAINTS) | $(BIN)/pip
	@echo "installing genwright and its tools into $(VENV): about a minute"
	$(INSTALL) -e '.[dev]'
	@$(COMPILE)
	@touch $@ $(CORE)

setup: $(DEV)

demo: $(CORE)
	$(BIN)/genwright train recipes/digits.toml
	@run=$$(ls -td runs/digits-diffusion* | head -n 1); \
	echo "page:  $$run/index.html"; \
	echo "sheet: $$(ls -td $$run/samples/*/sheet.png | head -n 1)"

check: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# One process for each core, with one thread each: small tests use a core better than threads do. Modules are compiled
# once, not by each of the many programs that tests start.
test: $(DEV)
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --dist loadscope

journey: $(DEV)
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -m journey -n auto --dist loadscope

bench:
	@grep -ls __main__ benchmarks/*.py | while read -r file; do \
	  echo "$(BIN)/python $$file"; \
	  sed -n '1{s/^"*/    /;s/"*$$//;p;}' "$$file"; \
	done
	@echo "Run make setup first; what each wants stands in its first lines. Quote ratios of one run, not times of two."

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
