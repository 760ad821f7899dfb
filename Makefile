# `make` alone lists the commands. CI calls the same names and nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/bash
# Modules are compiled once, not again by every process that a test starts.
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint $(CONSTRAINTS) --build-constraint $(CONSTRAINTS)
# Environments in one folder, each with what those before it have: what scores, what tests, what checks, what fuzzes.
SCORING := $(VENV)/.scoring
TESTING := $(VENV)/.testing
CHECKING := $(VENV)/.checking
FUZZING := $(VENV)/.fuzzing
PYTEST := $(BIN)/python -m pytest
PROVE := PYTHONPATH=tests:tests/reference $(BIN)/python
EVERY_CORE := --numprocesses auto --dist worksteal

.PHONY: help setup core score test test-fast test-times test-lowest sanitize fuzz fmt lint types layers wheel lock samples \
	address-tables starter readme bench bench-compare parity parity-policies spark-parity browser chromium databases java pictures flips fuzz-files kills crash-sources stress \
	exports hostile nights check clean

help:  ## list the commands
	@grep -hE '^[a-z0-9%.-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 16

$(SCORING): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "ordervet needs Python 3.11 or later; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up $(VENV) (once, about a minute) ..."
	@$(PYTHON) -m venv --upgrade-deps $(VENV)
	@$(PIP) --no-deps --editable . & building=$$!; $(PIP) --group scoring && wait $$building  # compiles while it downloads
	@touch $@

$(TESTING): $(SCORING)
	@echo "Adding what tests need to $(VENV) (once) ..."
	@$(PIP) --group learning --group serving --group databases --group spark --group core --group test  # NOT: --editable . again, which would compile the core once more
	@touch $@

$(CHECKING): $(TESTING)
	@$(PIP) --group check
	@touch $@

$(FUZZING): $(CHECKING)
	@$(PIP) --group fuzz
	@touch $@

setup: $(CHECKING) $(FUZZING)  ## create the environment in .venv (every other command sets up what it needs)

core: $(TESTING)  ## build the native core in place, after a change of src/core
	@$(BIN)/python tools/build_backend.py

score: $(SCORING)  ## score data/samples with the bundled model, print the flags, write out/flags.csv
	@$(BIN)/ordervet score data/samples --out out/flags.csv

test: $(TESTING)  ## run the tests, on every core
	@$(PYTEST) $(EVERY_CORE)

test-fast: $(TESTING)  ## run the quick tests, in under a minute
	@$(PYTEST) $(EVERY_CORE) -m "not slow and not wheel"

test-times: $(TESTING)  ## time the tests, and write down which are slow: tests/slow_tests.txt
	@$(PYTEST) $(EVERY_CORE) -q --write-slow-tests

test-lowest:  ## run the tests on the lowest versions that pyproject.toml admits
	@mkdir -p .venv-lowest
	@$(PYTHON) tools/lock.py --lowest > .venv-lowest/constraints.txt
	@$(MAKE) --no-print-directory test VENV=.venv-lowest CONSTRAINTS=.venv-lowest/constraints.txt

test-3.%:  ## run the tests on another Python: make test-3.11, test-3.12, test-3.13
	@$(MAKE) --no-print-directory test PYTHON=python3.$* VENV=.venv-3.$*

# The core with ASan and UBSan under the Python tests. libFuzzer (of the package atheris) is loaded before ASan, whose
# functions for counters do nothing.
SANITIZED := build/sanitize/.built
LIBFUZZER := build/sanitize/libfuzzer.so
UNDER_ASAN = PYTHONPATH=build/sanitize ASAN_OPTIONS=detect_leaks=0:verify_asan_link_order=0 \
	LD_PRELOAD="$(1) $$(c++ -print-file-name=libasan.so) $$(c++ -print-file-name=libstdc++.so)" $(BIN)/python
READERS := addresses texts columns models forests states snapshots journals manifests
ORDERS ?= 400000
RUNS ?= 10000000
SECONDS_EACH ?= 0

$(SANITIZED): $(TESTING) CMakeLists.txt tools/build_backend.py $(shell find src/core -type f)
	@$(BIN)/python tools/build_backend.py --sanitize
	@touch $@

$(LIBFUZZER): $(SANITIZED) $(FUZZING)
	@c++ -shared -o $@ -Wl,--whole-archive "$$($(BIN)/python -c 'import atheris; print(atheris.path())')/libclang_rt.fuzzer_no_main.a" \
		-Wl,--no-whole-archive -pthread

sanitize: $(SANITIZED)  ## run parity tests and readers of the core under ASan and UBSan, then fuzz each reader for seconds
	@$(call UNDER_ASAN) -m pytest -q -p no:cacheprovider -m "not slow" tests/entities/address/test_address_parity.py \
		tests/entities/test_one_order.py tests/entities/test_plain.py tests/features/test_compaction.py tests/features/test_forged_state.py \
		tests/features/test_one_order.py tests/features/test_state.py tests/model/test_forest.py tests/model/test_contributions.py
	@$(MAKE) --no-print-directory --jobs 2 fuzz SECONDS_EACH=3

fuzz: $(READERS:%=fuzz-%)  ## feed every reader of untrusted input with RUNS (10,000,000) inputs, or for SECONDS_EACH

fuzz-%: $(LIBFUZZER)  ## feed one reader: make fuzz-states RUNS=1000000
	@$(call UNDER_ASAN,$(LIBFUZZER)) tests/fuzz_readers.py $* -runs=$(RUNS) -max_total_time=$(SECONDS_EACH)

fmt: $(CHECKING)  ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix --quiet . || true

lint: $(CHECKING)  ## check format and style
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: $(CHECKING)  ## check types (mypy: strict for the package, modest for tests, tools and benchmarks)
	@$(BIN)/mypy

layers: $(CHECKING)  ## check that imports go one way
	@$(BIN)/lint-imports

lock: $(SCORING)  ## choose the newest versions that fit together anew: constraints.txt
	@$(BIN)/python tools/lock.py > $(VENV)/constraints.txt
	@mv $(VENV)/constraints.txt constraints.txt

readme: $(TESTING)  ## run the examples of the README
	@$(PYTEST) tests/test_readme.py

parity: $(TESTING)  ## prove on 2,000,000 random events that every path gives the same features
	@$(PROVE) tests/feature_parity.py 2000000
	@$(PYTEST) -q tests/features/test_sql_oracle.py

parity-policies: $(TESTING)  ## prove under 2,000 random policies that one order is decided about as in a table
	@$(PROVE) tests/policy_parity.py 2000 500

spark-parity: $(TESTING)  ## prove on ORDERS (400,000) simulated orders that Spark gives the features and scores of one machine
	@PYTHONPATH=tests:tests/reference:benchmarks $(BIN)/python tests/spark_parity.py $(ORDERS)

bench: $(TESTING)  ## time every stage; write out/bench.csv and print the table (benchmarks/bench_*.py compare with others)
	@mkdir -p out
	@$(PYTEST) -q benchmarks --benchmark-only --benchmark-json=out/bench.json
	@$(BIN)/python benchmarks/report.py out/bench.json

bench-compare: $(TESTING)  ## time BASE=<commit> and the working tree in turn; fail where the tree is slower
	@$(BIN)/python benchmarks/compare.py $(BASE)

wheel: $(TESTING)  ## build the wheel without a compiler of the machine, audit it, install it into an empty environment, use it
	@$(PYTEST) -m wheel tests/test_wheel.py

browser: $(TESTING)  ## look at the pages in a real headless Chromium (apt-get install chromium)
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { echo "there is no Chromium: apt-get install chromium"; exit 1; }
	@$(PYTEST) tests -k browser -rs

chromium:  ## install Chromium where it is missing, for the tests that look at pages (Debian, as root)
	@command -v chromium >/dev/null || \
		{ apt-get update && apt-get install --yes --no-install-recommends chromium fonts-noto-cjk; } >/dev/null 2>&1 || \
		echo "WARNING: Chromium could not be installed; the tests that look at pages say by name what they skip"

databases:  ## install MariaDB where it is missing, for the tests that read one (Debian, as root)
	@PATH="$$PATH:/usr/sbin"; command -v mariadbd >/dev/null && command -v mariadb-install-db >/dev/null || \
		{ apt-get update && apt-get install --yes --no-install-recommends mariadb-server-core mariadb-client-core; } >/dev/null

java:  ## install a Java runtime where it is missing, for the tests that run Spark (Debian, as root)
	@command -v java >/dev/null || \
		{ apt-get update && apt-get install --yes --no-install-recommends openjdk-17-jre-headless; } >/dev/null 2>&1 || \
		{ apt-get install --yes --no-install-recommends default-jre-headless; } >/dev/null

pictures: $(TESTING)  ## take the guides' pictures again, from a simulated merchant (needs Chromium)
	@PYTHONPATH=tests $(BIN)/python docs/pictures/take_pictures.py

check: lint types layers test sanitize wheel  ## what CI runs

flips: $(TESTING)  ## flip 2,000 bits each of data, log, digests, journal, snapshot, model and manifest: found and named, or harmless
	@PYTHONPATH=tests $(BIN)/python tests/flips.py 2000

fuzz-files: $(TESTING)  ## read 500,000 mutated files and tables over the whole contract: no crash, no hang, all rows add up
	@PYTHONPATH=tests $(BIN)/python tests/fuzz_files.py 500000

kills: $(TESTING)  ## kill a scorer, ingest, key rotate, history publish, retrain and serve 1,000 times; nothing acknowledged may be lost
	@$(PROVE) tests/kills.py 1000

stress: $(TESTING)  ## let 16 threads, 8 forked workers and 8 of gunicorn's score 10,000 orders each at once; all must be kept and replay
	@$(PROVE) tests/stress_serve.py 10000

crash-sources: $(TESTING)  ## kill what reads a database, the database, and what publishes to a store, 50 times each; nothing may be lost or count twice
	@$(PROVE) tests/crash_sources.py 50
	@$(PROVE) tests/crash_publish.py 50

hostile: $(TESTING)  ## read 200,000 mutated exports of all formats: no crash, no hang, all rows add up
	@$(PROVE) tests/contract/formats/hostile_driver.py 200000

exports: $(TESTING)  ## write 500 made-up trade histories as every platform's exports and webhooks; what is read is the truth
	@$(PROVE) tests/contract/formats/round_trip_driver.py 500

nights: $(TESTING)  ## retrain thirty simulated nights through a campaign, with contaminated nights
	@$(PROVE) benchmarks/thirty_nights.py

samples: $(TESTING)  ## rebuild data/samples, byte for byte
	@$(BIN)/ordervet simulate --out data/samples --orders 3000 --seed 20251111 --no-truth

address-tables: $(TESTING)  ## write the words and divisions of addresses again for the core
	@$(BIN)/python -c "from ordervet.entities.address.arrays import save_tables; save_tables()"

starter: $(TESTING)  ## train the bundled model again on simulated merchants, byte for byte
	@$(BIN)/python tools/train_starter.py --models models

clean:  ## remove what the other commands made
	rm -rf $(VENV) .venv-lowest .venv-3.* out dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
