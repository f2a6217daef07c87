# Everything that a developer or the CI does here. `make help` lists it; the only needs are make and Python 3.11 or newer.

VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready
PYTHONS := python3.14 python3.13 python3.12 python3.11 python3
CHECKED := $(wildcard src tests tools benchmarks examples)
INSTALL := install --quiet --disable-pip-version-check --no-input --require-hashes --only-binary :all:
COMPILE := .cache/uv/bin/uv pip compile --universal --generate-hashes --no-emit-index-url --no-header \
	--python-version 3.11 --quiet --no-python-downloads --cache-dir .cache/uv-cache

# Tests that run before the others and alone: the tidy ones, and the one that looks at the clock.
ALONE := tests/tidy tests/errors/test_codes.py tests/api/test_import_cost.py

.PHONY: help setup demo demo-stack check lint format types imports tidy fast test test-slow test-servers test-survival test-wheel test-notebook survival bench docs java lock upgrade clean
.DEFAULT_GOAL := help

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

setup: $(READY)  ## Create .venv from the lock; the other targets do it when it is due

demo: $(READY)  ## Run the example pipeline on its recorded input and show what it wrote
	@$(VENV)/bin/fluxline run examples/sensors --bounded --fresh
	@echo; echo "the first alerts, in examples/sensors/out/alerts.ndjson:"; head -n 3 examples/sensors/out/alerts.ndjson
	@echo; echo "the late readings, in examples/sensors/out/late_readings.ndjson:"; cat examples/sensors/out/late_readings.ndjson
	@echo; echo "the warmest hours, from the table hourly_averages:"
	@$(VENV)/bin/fluxline query --project examples/sensors "SELECT * FROM hourly_averages ORDER BY mean DESC LIMIT 5"
	@echo; echo "readings per sensor, from the table sensor_readings:"
	@$(VENV)/bin/fluxline query --project examples/sensors "SELECT sensor_id, count(*) AS readings, max(temperature) AS warmest FROM sensor_readings GROUP BY sensor_id ORDER BY sensor_id"

demo-stack: $(READY)  ## The same on Kafka, Flink and Cassandra, which are fetched, started at their known ports, and stopped
	@set -e; cd examples/sensors; PATH="$(abspath $(VENV))/bin:$$PATH"; \
	trap 'fluxline stop --env stack --cancel >/dev/null 2>&1; fluxline stack down --name demo' EXIT; \
	fluxline stack up --name demo --standard-ports --fresh; \
	echo; echo "replaying the readings to the topic sensor_data"; python produce.py; \
	echo; fluxline submit --env stack --bounded --fresh --wait; \
	echo; echo "hourly averages, asked by CQL:"; \
	fluxline query --env stack "SELECT sensor_id, window_start, mean, readings FROM hourly_averages WHERE sensor_id = 1 LIMIT 5"; \
	echo; echo "readings of one sensor:"; \
	fluxline query --env stack "SELECT sensor_id, count(*) AS readings, max(temperature) AS warmest FROM sensor_readings WHERE sensor_id = 1"; echo

check: lint types imports tidy fast  ## All checks that take less than five minutes together

test: check  ## Everything: what has to pass before a change lands
	@$(MAKE) --no-print-directory -j 3 test-slow test-wheel test-notebook
	@$(MAKE) --no-print-directory test-servers

lint: $(READY)  ## Style: rules and formatting
	$(PYTHON) -m ruff check $(CHECKED)
	$(PYTHON) -m ruff format --check $(CHECKED)

format: $(READY)  ## Put imports and code into the one format
	$(PYTHON) -m ruff check --select I --fix $(CHECKED)
	$(PYTHON) -m ruff format $(CHECKED)

types: $(READY)  ## Static types, strictly
	$(PYTHON) -m mypy $(CHECKED)

imports: $(READY)  ## The arrows between rooms
	$(VENV)/bin/lint-imports --no-logo --no-cache

tidy: $(READY)  ## Map, sizes, words, bans, docstrings, limits, secrets, the cost of an import
	$(PYTHON) -m pytest $(ALONE)

fast: $(READY)  ## The tests that take a moment
	$(PYTHON) -m pytest -n 3 --dist loadfile -m "not slow and not servers and not wheel and not notebook" $(ALONE:%=--ignore=%)

test-slow: $(READY)  ## The tests that take longer
	$(PYTHON) -m pytest -m "slow and not servers and not wheel and not notebook"

test-servers: $(READY)  ## The tests that start Kafka, Flink and Cassandra
	$(PYTHON) -m pytest -m "servers and not survival"

test-survival: $(READY)  ## Servers killed under a running pipeline, each drill at one moment
	$(PYTHON) -m pytest -m survival

survival: $(READY)  ## The same at ten moments each, and the page of what they showed
	$(PYTHON) tools/survival.py

test-wheel: $(READY)  ## The built wheel, used from a fresh environment
	$(PYTHON) -m pytest -m wheel

test-notebook: $(READY)  ## Pipelines in a Jupyter kernel
	$(PYTHON) -m pytest -m "notebook and not wheel"

bench: $(READY)  ## Measure, and compare with the agreed figures
	$(PYTHON) -m benchmarks

docs: $(READY)  ## Generate the reference pages from the code
	$(PYTHON) tools/build_docs.py

java: $(READY)  ## Compile the Java of Flink's side and write its jar
	$(PYTHON) tools/build_java.py

lock: .cache/uv/.ready  ## Lock what pyproject.toml asks for, keeping the versions that still fit
	$(COMPILE) pyproject.toml --output-file requirements/runtime.txt
	$(COMPILE) pyproject.toml --group dev --output-file requirements/dev.txt
	$(COMPILE) --group lock --output-file requirements/lock.txt

upgrade: COMPILE += --upgrade
upgrade: lock  ## Lock the newest versions that fit

clean:  ## Remove the environment, caches and build results
	rm -rf $(VENV) .cache build dist
	find src tests $(wildcard tools benchmarks examples) -type d -name __pycache__ -prune -exec rm -rf {} +

# The environment is made once, and brought up to date when the lock or the project's metadata changes.
$(READY): requirements/dev.txt pyproject.toml
	@$(call make_environment,$(VENV))
	@echo "installing the locked packages into $(VENV)"
	@$(PYTHON) -m pip $(INSTALL) -r requirements/dev.txt
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-input --no-build-isolation --no-deps --editable .
	@touch $@

.cache/uv/.ready: requirements/lock.txt
	@$(call make_environment,.cache/uv)
	@.cache/uv/bin/python -m pip $(INSTALL) -r requirements/lock.txt
	@touch $@

# make_environment(folder): an environment of the first fitting Python, unless a working one is there.
define make_environment
	if $(1)/bin/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then exit 0; fi; \
	chosen=; bare=; seen=; \
	for name in $(PYTHONS); do \
		command -v $$name >/dev/null 2>&1 || continue; \
		seen="$$seen $$name ($$($$name -c 'import platform; print(platform.python_version())' 2>/dev/null || echo broken))"; \
		$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
		if $$name -c 'import ensurepip, venv' >/dev/null 2>&1; then chosen=$$name; break; fi; \
		bare=$${bare:-$$name}; \
	done; \
	if [ -z "$$chosen" ] && [ -n "$$bare" ]; then \
		echo "$$bare cannot make environments: its module venv or ensurepip is missing." >&2; \
		echo "On Debian and Ubuntu it is a package of its own: apt-get install python3-venv" >&2; \
		exit 1; \
	fi; \
	if [ -z "$$chosen" ]; then \
		echo "Fluxline needs Python 3.11 or newer. Found:$${seen:- no Python at all}." >&2; \
		echo "Tried, in this order: $(PYTHONS)" >&2; \
		exit 1; \
	fi; \
	echo "making $(1) with $$chosen"; \
	$$chosen -m venv --clear $(1)
endef
