# make run    sets up and runs the default study           make test   sets up, lints, types, tests
# make bench  the timings of tests/benchmarks              make clean  removes what the others made
PYTHON ?= python3
VENV ?= .venv
BUDGET ?= default
BIN := $(VENV)/bin

.PHONY: run test lint bench clean

run: $(VENV)/.run-installed
	$(BIN)/surrogate-opt run --budget $(BUDGET)

test: $(VENV)/.dev-installed
	$(MAKE) lint
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.dev-installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev-installed
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only -m "" -s

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run-installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.dev-installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/.run-installed

clean:
	rm -rf $(VENV) results .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks
