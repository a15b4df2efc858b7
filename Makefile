# Python 3.11 or newer, git and make are all it takes. PYTHON=, PORT= and STORE= may be given: make run PORT=8080
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PORT ?= 7071
STORE ?=
TIMES ?= 90
REPS ?= 3
PEERS ?=
BENCH ?=
VENV := .venv
INPUTS := $(shell cat requirements.txt pyproject.toml | cksum | cut -d' ' -f1)
RUN_READY := $(VENV)/.run-$(INPUTS)
DEV_READY := $(VENV)/.dev-$(INPUTS)
BIN := $(VENV)/bin

.PHONY: run run-azurite host test soak fuzz lint format bench bench-peers bench-page bench-scale bench-cloud clean

run: $(RUN_READY)  ## the samples on the embedded store, then a host that goes on serving
	@$(BIN)/python -m tools.demo --port $(PORT) $(if $(STORE),--store "$(STORE)")

run-azurite: $(RUN_READY)  ## the same on an Azurite that it installs and starts
	@$(BIN)/python -m tools.demo --port $(PORT) --azurite

host: $(RUN_READY)  ## only the host
	@$(BIN)/python -m durable_core host --port $(PORT) $(if $(STORE),--store "$(STORE)")

test: $(DEV_READY)  ## all tests, Azurite included
	$(BIN)/python -m pytest

soak: $(DEV_READY)  ## every fault at every operation, over 10,000 seeds, many real kills; fewer: make soak TIMES=5
	DURABLE_SOAK=$(TIMES) $(BIN)/python -m pytest tests/faults
	DURABLE_SOAK=$(TIMES) $(BIN)/python -m pytest tests/e2e/test_kill_*.py tests/load -s

fuzz: $(DEV_READY)  ## many more hostile inputs: make fuzz TIMES=20
	DURABLE_FUZZ=$(TIMES) $(BIN)/python -m pytest tests/security

lint: $(DEV_READY)  ## ruff, pyright strict, import contracts, and our own rules for orchestrators
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/python -m durable_core lint orchestrators docs/examples benchmarks function_app.py

format: $(DEV_READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(DEV_READY)  ## every workload on either store, beside what is known of other engines: make bench REPS=5
	$(BIN)/python -m benchmarks --reps $(REPS) $(BENCH)

bench-peers: $(DEV_READY)  ## the same, beside the result lines of other engines: make bench-peers PEERS=their/results
	$(BIN)/python -m benchmarks --reps $(REPS) $(BENCH) --peers "$(or $(PEERS),$(error PEERS=FOLDER is missing: it holds other engines' result lines, *.jsonl))"

bench-page: $(DEV_READY)  ## measure anew and write docs/performance.md; PEERS=, REPS= and BENCH=--timeout=600 as wanted
	$(BIN)/python -m benchmarks --anew --reps $(REPS) $(BENCH) $(if $(PEERS),--peers "$(PEERS)")
	$(BIN)/python -m benchmarks.profiles
	$(BIN)/python -m benchmarks.report_page $(if $(PEERS),--peers "$(PEERS)")

bench-scale: $(DEV_READY)  ## idle instances by the hundred thousand, several hosts, curves of cost: make bench-scale BENCH=--part=growth
	$(BIN)/python -m benchmarks.scale --anew --reps $(REPS) $(BENCH)

bench-cloud: $(DEV_READY)  ## count, simulate Azure's limits, and write docs/scale.md; some minutes
	$(BIN)/python -m benchmarks.cloud

clean:  ## the virtual environment and what the local host has stored
	rm -rf $(VENV) .durable .azurite

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; install it, or name it: make run PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than Python 3.11; name a newer one: make run PYTHON=python3.12"; exit 1; }
	@echo "Making the virtual environment $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "No virtual environment could be made; on Debian and Ubuntu: apt install python3-venv"; exit 1; }

$(RUN_READY): | $(VENV)/bin/python
	@echo "Installing what durable_core needs ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[local]'
	@rm -f $(VENV)/.run-* && touch $@

$(DEV_READY): | $(VENV)/bin/python
	@echo "Installing what the tests need ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[local,dev]'
	@rm -f $(VENV)/.run-* $(VENV)/.dev-* && touch $@ $(RUN_READY)
