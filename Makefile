# Everything one does with this repository; needs python3.11 (with venv), make and git. `make` alone lists the targets.

PYTHON ?= python3.11
PY := .venv/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check
LOCK := $(PY) -m uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet
T ?= tests
N ?= 2
SECONDS ?= 60

.DEFAULT_GOAL := help
.PHONY: help up test long lint fmt cluster seeded bench chaos fuzz docs docs-check asyncapi asyncapi-check lock install install-dev clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

up: .venv/installed ## start everything in one process, PostgreSQL too; says where to log in, Ctrl-C stops it
	@$(PY) -m sluice up

test: .venv/installed-dev ## run the tests; T=tests/unit picks some, N=4 takes four processes. What the machine lacks (Java, Chromium, ../shared) is skipped and said
	$(PY) -m pytest -n $(N) --no-loadscope-reorder -m "not long" $(T)

long: .venv/installed-dev ## run the further cases of what takes long on a real cluster (five minutes)
	$(PY) -m pytest -n $(N) --no-loadscope-reorder -m long tests

lint: .venv/installed-dev ## rules, format, types, and who may import whom
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports

fmt: .venv/installed-dev ## format, and mend what the rules can mend by themselves
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

cluster: .venv/installed ## start a real Kafka broker (needs Java 17, Maven), PostgreSQL and the four services as processes
	@$(PY) -m deploy.cluster

seeded: .venv/installed-dev ## sow the known mistakes of others one by one and see a test fail over each (ten minutes)
	$(PY) -m tests.security.seeded

bench: .venv/installed-dev ## measure logins, embedded and over Kafka, and write docs/performance.md
	$(PY) -m tests.bench

chaos: .venv/installed-dev ## log in and out of a real cluster while its parts are killed and stopped, then judge; SECONDS=300 SEED=n
	$(PY) -m tests.chaos --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

fuzz: .venv/installed-dev ## fuzz HTTP, blueprints, expressions and records; SECONDS=60 each, at once. SEED=n begins as an earlier run did
	$(PY) -m tests.fuzz --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

asyncapi: .venv/installed ## write docs/asyncapi.yaml from the contracts
	$(PY) -m shared.contracts.asyncapi > docs/asyncapi.yaml.new
	mv docs/asyncapi.yaml.new docs/asyncapi.yaml

asyncapi-check: .venv/installed ## fail if docs/asyncapi.yaml is not what the contracts say
	$(PY) -m shared.contracts.asyncapi | diff -u docs/asyncapi.yaml -

docs: asyncapi ## write what is generated in docs/: asyncapi.yaml, settings.md
	$(PY) -m sluice.reference > docs/settings.md.new
	mv docs/settings.md.new docs/settings.md

docs-check: asyncapi-check ## fail if a generated document is not what the source says
	$(PY) -m sluice.reference --check docs/settings.md

lock: .venv/installed-dev ## resolve the newest versions that pyproject.toml allows into the two lock files
	$(LOCK) --upgrade --extra build -o requirements.txt pyproject.toml
	$(LOCK) --upgrade --extra build --extra dev -c requirements.txt -o requirements-dev.txt pyproject.toml

install: .venv/installed ## install what `make up` needs into .venv
install-dev: .venv/installed-dev ## install what the other targets need into .venv

# With --require-hashes pip takes no folder, so the project itself comes second, with the build backend of the lock.
.venv/installed: requirements.txt pyproject.toml
	@command -v $(PYTHON) > /dev/null || { echo "python3.11 is missing: install it (with its venv module), or say where it is: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@echo "installing into .venv (a minute or two the first time) ..."
	@$(PYTHON) -m venv .venv
	@$(PIP) --require-hashes -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	@echo "installing the tools for development into .venv ..."
	@$(PIP) --require-hashes -r requirements-dev.txt
	@touch $@

clean: ## remove what can be made again; keeps data/, the users and the history of `make up`
	rm -rf .venv .cache build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
