# Python 3.11 or newer, git and make are all it takes. PYTHON=, PORT= and STORE= may be given: make run PORT=8080
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PORT ?= 7071
STORE ?=
AZURITE ?=
WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
TIMES ?= 90
REPS ?= 3
PEERS ?=
WHAT ?= workloads
ARGS ?=
VENV := .venv
INPUTS := $(shell cat requirements.txt pyproject.toml | cksum | cut -d' ' -f1)
RUN_READY := $(VENV)/.run-$(INPUTS)
DEV_READY := $(VENV)/.dev-$(INPUTS)
BIN := $(VENV)/bin

# One worker runs a module whole, for its tests share hosts and emulators. The order stays: the small modules come last,
# and no worker waits long for another.
IN_PARALLEL = $(BIN)/python -m pytest --dist loadscope --no-loadscope-reorder
RULES = $(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/lint-imports && \
	$(BIN)/python -m durable_core lint orchestrators docs/examples benchmarks samples function_app.py
TYPES = $(BIN)/pyright --pythonpath $(BIN)/python
BESIDE_PEERS = $(if $(PEERS),--peers "$(PEERS)")

.PHONY: run host check test lint format soak fuzz bench clean

run: $(RUN_READY)  ## the samples, then a host that goes on serving; on an Azurite that it installs: make run AZURITE=1
	@$(BIN)/python -m tools.demo --port $(PORT) $(if $(AZURITE),--azurite) $(if $(STORE),--store "$(STORE)")

host: $(RUN_READY)  ## only the host
	@$(BIN)/python -m durable_core host --port $(PORT) $(if $(STORE),--store "$(STORE)")

# Pyright is one process and takes longest: what runs beside it gives way to it.
check: $(DEV_READY)  ## at every change, 90 seconds: lint, types, and the tests that need no emulator and no host
	@log=$$(mktemp); $(TYPES) >"$$log" 2>&1 & types=$$!; trap 'rm -f "$$log"' EXIT; \
	{ $(RULES); } && nice -n 5 $(IN_PARALLEL) -n logical -q -m "not azurite" tests/unit tests/properties tests/contract; rest=$$?; \
	wait $$types; types_are_wrong=$$?; cat "$$log"; exit $$((rest | types_are_wrong))

# One worker more than processors: a quarter of the time of the suite is waiting, for timers, leases and hosts that start.
test: $(DEV_READY)  ## all tests, Azurite included, on all processors; one after the other: make test WORKERS=0
	$(IN_PARALLEL) -n $(WORKERS) --durations=20 $(ARGS)

lint: $(DEV_READY)  ## ruff, import contracts, our own rules for orchestrators, pyright strict
	$(RULES)
	$(TYPES)

format: $(DEV_READY)  ## ruff puts right what it can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

soak: $(DEV_READY)  ## every fault at every operation, over 10,000 seeds, many real kills; fewer: make soak TIMES=5
	DURABLE_SOAK=$(TIMES) $(BIN)/python -m pytest tests/faults
	DURABLE_SOAK=$(TIMES) $(BIN)/python -m pytest tests/e2e/test_kill_*.py tests/load -s

fuzz: $(DEV_READY)  ## many more hostile inputs: make fuzz TIMES=20
	DURABLE_FUZZ=$(TIMES) $(BIN)/python -m pytest tests/security

# workloads: every workload on either store, beside what is known of other engines and the result lines in PEERS=FOLDER.
# page: measures anew and writes docs/performance.md. scale: idle instances by the hundred thousand, several hosts.
# cloud: counts, and writes docs/scale.md from Azure's limits and prices. ARGS= are options: make bench ARGS=--timeout=600
bench: $(DEV_READY)  ## measure: make bench WHAT=workloads, page, scale or cloud; PEERS=, REPS= and ARGS= as wanted
	$(or $(BENCH_$(WHAT)),$(error WHAT=$(WHAT) is none of workloads, page, scale and cloud))

BENCH_workloads = $(BIN)/python -m benchmarks --reps $(REPS) $(ARGS) $(BESIDE_PEERS)
BENCH_page = $(BIN)/python -m benchmarks --anew --reps $(REPS) $(ARGS) $(BESIDE_PEERS) && \
	$(BIN)/python -m benchmarks.profiles && $(BIN)/python -m benchmarks.report_page $(BESIDE_PEERS)
BENCH_scale = $(BIN)/python -m benchmarks.scale --anew --reps $(REPS) $(ARGS)
BENCH_cloud = $(BIN)/python -m benchmarks.cloud $(ARGS)

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
