# make demo    two shards, each a real PostgreSQL with a replica, and Trunkline in front of them (ARGS=--smoke, ARGS="--port 6433")
# make test    install what the tests need, and run all of them
# make audit   the integration tests, with every session examined at each release
# make check   lint, types, import layers, and the test of the tree
# make sanitize  the compiled modules' tests and fuzzers under AddressSanitizer, in a copy under build/
# make compat  install the clients (drivers and frameworks) and run their scripts directly and through Trunkline
# make fuzz    feed any bytes to what strangers reach first, and compare random conversations with PostgreSQL's (SECONDS=60)
# make equality  100,000 statements at two shards and at one database with the same rows (ARGS="--seed 2")
# make lab     a million checked replies while thousands of faults happen (ARGS="--target pgbouncer" for the control),
#              then 20 failovers under load, then 200,000 random statements on one PostgreSQL and on 1 to 4 shards
# make bench   measure Trunkline beside PgBouncer and write bench/RESULTS.md
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Two processes, each with servers of its own; a file's tests stay together, so that they share what they start.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile
SOURCES := pyproject.toml setup.py $(shell find src -name '*.pyx' -o -name '*.pxd')

.PHONY: demo test audit check sanitize fuzz equality lab bench compat build clean
.DELETE_ON_ERROR:

demo: $(VENV)/demo.stamp
	$(BIN)/trunkline demo $(ARGS)

test: $(VENV)/dev.stamp
	$(PYTEST) $(ARGS)

audit: $(VENV)/dev.stamp
	TRUNKLINE_TEST_AUDIT=1 $(PYTEST) tests/integration $(ARGS)

check: $(VENV)/dev.stamp
	$(BIN)/ruff check src tests bench setup.py
	$(BIN)/ruff format --check src tests bench setup.py
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/lint-imports
	$(BIN)/python -m pytest tests/unit/test_tree.py

# Leaks are not looked for: the interpreter's own would drown them. PYTHONMALLOC shows each object's end to the sanitizer.
SANITIZED := build/sanitized
sanitize: $(VENV)/dev.stamp
	rm -rf $(SANITIZED)
	mkdir -p $(SANITIZED)
	cp -r pyproject.toml setup.py README.md docs src tests $(SANITIZED)
	find $(SANITIZED) -name '*.so' -delete
	cd $(SANITIZED) && TRUNKLINE_SANITIZE=address $(CURDIR)/$(BIN)/python setup.py -q build_ext --inplace
	cd $(SANITIZED) && PYTHONPATH=src PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 \
	  LD_PRELOAD=$$($(CC) -print-file-name=libasan.so) $(CURDIR)/$(BIN)/python -m pytest --timeout 600 --capture=sys \
	  tests/unit/protocol tests/unit/net tests/unit/pool tests/unit/proxy tests/unit/routing tests/unit/execution \
	  tests/fuzz $(ARGS)

# Findings and the corpus are kept in build/fuzz. WRITE=1 writes tests/fuzz/RESULTS.md.
fuzz: $(VENV)/dev.stamp
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60) $(if $(WRITE),--write) $(ARGS)

equality: $(VENV)/dev.stamp
	$(BIN)/python -m tests.integration.sharded_equality --statements 100000 $(ARGS)

lab: $(VENV)/dev.stamp
	$(BIN)/python -m tests.faults.lab --replies 1000000 --faults 5000 --seconds 600 --write $(ARGS)
	$(if $(ARGS),,$(BIN)/python -m tests.faults.lab.failover --rounds 20 --write)
	$(if $(ARGS),,$(BIN)/python -m tests.faults.lab.transfers --rounds 20 --write)
	$(if $(ARGS),,$(BIN)/python -m tests.differential.spread --count 200000 --worlds 32 --write)

bench: $(VENV)/dev.stamp
	$(BIN)/python -m bench $(ARGS)

compat: $(VENV)/dev.stamp
	$(BIN)/python -m tests.compat $(ARGS)

build: $(VENV)/dev.stamp
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) build dist src/*.egg-info
	find src -name '*.so' -delete -o -name '*.c' -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is newer than everything that is compiled or declared, so an install is done again only when that changes.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: $(SOURCES) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[demo]'
	@touch $@

$(VENV)/dev.stamp: $(SOURCES) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[demo,dev]'
	@touch $@ $(VENV)/demo.stamp
