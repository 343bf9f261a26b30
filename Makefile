# Two commands do everything: `make demo` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHOP := .venv-shop
STAMP := $(VENV)/.ready
SHOP_STAMP := $(SHOP)/.ready

.PHONY: help setup demo test test-fast lint format fuzz chaos proof bench results schemas lock clean
.DEFAULT_GOAL := help

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(STAMP): lock/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r lock/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(SHOP_STAMP): lock/shop.txt
	$(PYTHON) -m venv $(SHOP)
	$(SHOP)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r lock/shop.txt
	@touch $@

NPM_STAMPS := sdk/node_modules/.package-lock.json tests/clients/node_modules/.package-lock.json

%/node_modules/.package-lock.json: %/package.json %/package-lock.json
	@if command -v npm >/dev/null; then npm --prefix $* ci --silent --no-audit --no-fund && touch $@; \
	else echo "npm not found: the tests in $* will skip"; mkdir -p $(@D) && touch $@; fi

setup: $(STAMP) $(SHOP_STAMP) $(NPM_STAMPS)  ## make both environments and the npm parts (done for you by the others)

demo: $(STAMP) $(SHOP_STAMP)  ## a real shop, the engine and its console on loopback; TRAFFIC=1 adds shoppers, HISTORY=1 a past to learn from, SMOKE=1 walks one order and exits
	@$(BIN)/python shop/demo.py $(if $(SMOKE),--smoke) $(if $(TRAFFIC),--traffic) $(if $(HISTORY),--history)

test: setup  ## all tests: Python, SDK, browser
	$(BIN)/python -m pytest -n 2 --dist loadscope

test-fast: $(STAMP)  ## the tests without browser, clients and real data
	$(BIN)/python -m pytest -n 2 -m "not browser and not clients and not data and not slow"

lint: $(STAMP)  ## ruff, strict types, house rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/house

format: $(STAMP)  ## let ruff write what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

fuzz: $(STAMP)  ## a million conditions through every evaluator; COUNT=n for another number
	$(BIN)/python tests/fuzz_conditions.py $(or $(COUNT),1000000)

chaos: $(STAMP)  ## 10,000 kills, 100,000 power cuts and schedules, every Nth write; ARGS="--kills 100" for less
	$(BIN)/python tests/long_chaos.py $(ARGS)

proof: $(STAMP)  ## error rates of the statistics over 2,000 simulated shops each; four minutes on two free cores
	OPENBLAS_NUM_THREADS=1 $(BIN)/python tests/error_rates.py $(COUNT)

bench: $(STAMP)  ## benchmarks as ratios in one run, see bench/README.md
	$(BIN)/python -m bench

results: $(STAMP)  ## models on public data, beside baselines: docs/reference/results.md; SETS="coupons intention" for some
	$(BIN)/python -m bench.results $(SETS)

schemas: $(STAMP)  ## write spec/ again from the code
	$(BIN)/python -m spec.generate

lock: $(STAMP)  ## pin every dependency again
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --all-extras --group dev pyproject.toml -o lock/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --group shop -o lock/shop.txt

clean:  ## remove environments, caches and the demo's data
	rm -rf $(VENV) $(SHOP) sdk/node_modules .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
