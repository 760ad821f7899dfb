# `make` alone lists the commands. CI calls the same names and nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup core score test fmt lint types layers wheel samples address-tables starter readme bench bench-compare parity browser pictures crash crash-retrain nights check clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 14

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "ordervet needs Python 3.11 or later; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up $(VENV) (once, a minute or two) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

setup: $(READY)  ## create the environment in .venv (every other command does it too)

core: $(READY)  ## build the native core in place, after a change of src/core
	@$(BIN)/python tools/build_backend.py

score: $(READY)  ## score data/samples with the bundled model, print the flags, write out/flags.csv
	@$(BIN)/ordervet score data/samples --out out/flags.csv

test: $(READY)  ## run the tests
	@$(BIN)/python -m pytest

fmt: $(READY)  ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix --quiet . || true

lint: $(READY)  ## check format and style
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: $(READY)  ## check types (mypy, strict)
	@$(BIN)/mypy

layers: $(READY)  ## check that imports go one way
	@$(BIN)/lint-imports

readme: $(READY)  ## run the examples of the README
	@$(BIN)/python -m pytest tests/test_readme.py

parity: $(READY)  ## prove on 2,000,000 random events that every path gives the same features
	@$(BIN)/python tests/feature_parity.py 2000000
	@$(BIN)/python -m pytest -q tests/features/test_sql_oracle.py

bench: $(READY)  ## time every stage; write out/bench.csv and print the table (benchmarks/bench_*.py compare with others)
	@mkdir -p out
	@$(BIN)/python -m pytest -q benchmarks --benchmark-only --benchmark-json=out/bench.json
	@$(BIN)/python benchmarks/report.py out/bench.json

bench-compare: $(READY)  ## time BASE=<commit> and the working tree in turn; fail where the tree is slower
	@$(BIN)/python benchmarks/compare.py $(BASE)

wheel: $(READY)  ## build the wheel, install it into an empty environment, score one file from it
	@$(BIN)/python -m pytest -m wheel tests/test_wheel.py

browser: $(READY)  ## look at the pages in a real headless Chromium (apt-get install chromium)
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { echo "there is no Chromium: apt-get install chromium"; exit 1; }
	@$(BIN)/python -m pytest tests -k browser -rs

pictures: $(READY)  ## take the guides' pictures anew, from a simulated merchant (needs Chromium)
	@PYTHONPATH=tests $(BIN)/python docs/pictures/take_pictures.py

check: lint types layers test wheel  ## all of the above

crash: $(READY)  ## kill a scorer 300 times, while it opens, scores, flushes, compacts and erases; nothing may be lost
	@$(BIN)/python tests/score/crash_driver.py 300

crash-retrain: $(READY)  ## kill a retrain 100 times at random instants, and fill its disk; what serves must always load
	@$(BIN)/python benchmarks/crash_retrain.py --kills 100 --full-disks 12

nights: $(READY)  ## retrain thirty simulated nights through a campaign, with poisoned nights
	@$(BIN)/python benchmarks/thirty_nights.py

samples: $(READY)  ## rebuild data/samples, byte for byte
	@$(BIN)/ordervet simulate --out data/samples --orders 3000 --seed 20251111 --no-truth

address-tables: $(READY)  ## lay the words and divisions of addresses out anew for the kernel
	@$(BIN)/python -c "from ordervet.entities.address.arrays import save_tables; save_tables()"

starter: $(READY)  ## train the bundled model anew on simulated merchants, byte for byte
	@$(BIN)/python benchmarks/train_starter.py --models models

clean:  ## remove what the other commands made
	rm -rf $(VENV) out dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
