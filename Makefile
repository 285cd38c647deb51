# Savanna: `make train` trains Pong, `make test` passes the tests. Both set up what they need.
.DEFAULT_GOAL := help
SHELL := /bin/bash

EXPERIMENT ?= pong
RUN ?= latest
ARGS ?=
# A folder with a torch wheel, for example a CPU build (a fifth of the size of the default one).
TORCH_WHEELS ?= $(or $(UV_FIND_LINKS),$(PIP_FIND_LINKS))

VENV := .venv
BIN := $(VENV)/bin
PYTHON := $(shell command -v python3.11 || command -v python3)
UV := UV_FIND_LINKS="$(TORCH_WHEELS)" UV_LINK_MODE=copy $(BIN)/uv
export MLFLOW_DISABLE_TELEMETRY = true

##@ Train
train: setup ## Train EXPERIMENT=pong (or cartpole, atari); more options in ARGS="--seed 1"
	@$(BIN)/savanna train $(EXPERIMENT) $(ARGS)

evaluate: setup ## Evaluate RUN=latest
	@$(BIN)/savanna evaluate $(RUN) $(ARGS)

video: setup ## Film RUN=latest
	@$(BIN)/savanna video $(RUN) $(ARGS)

report: setup ## Write the report of RUN=latest again
	@$(BIN)/savanna report $(RUN) $(ARGS)

export: setup ## Write the policy of RUN=latest as ONNX
	@$(BIN)/savanna export $(RUN) $(ARGS)

##@ Look
runs: setup ## List the runs
	@$(BIN)/savanna runs $(ARGS)

ui: setup ## MLflow on the runs so far, at 127.0.0.1:5000
	@mkdir -p runs
	$(BIN)/mlflow ui --backend-store-uri sqlite:///runs/mlflow.db --host 127.0.0.1 --port 5000 --workers 1

tensorboard: setup ## TensorBoard on the runs so far, at 127.0.0.1:6006
	$(BIN)/tensorboard --logdir runs --host 127.0.0.1 --port 6006

##@ Develop
setup: $(VENV)/.installed ## Create .venv with everything pinned (others call it as needed)

test: setup ## Run the tests
	@$(BIN)/python -m pytest -q $(ARGS)

lint: setup ## Check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: setup ## Rewrite the code in the common style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup ## Compare our speed with stock RLlib's in one run; keeps docs/performance.md
	@$(BIN)/python -m benchmarks.bench $(ARGS)

lock: setup ## Resolve requirements*.in into the pinned requirements*.txt
	@$(UV) pip compile -q --no-header --no-annotate --no-emit-index-url --no-emit-find-links requirements.in -o requirements.txt
	@$(UV) pip compile -q --no-header --no-annotate --no-emit-index-url --no-emit-find-links requirements-dev.in -o requirements-dev.txt
	@# The pins must fit torch's CPU and CUDA builds alike; the CUDA build pins its own libraries.
	@sed -i -e 's/^torch==\([0-9.]*\)+.*/torch==\1/' -e '/^\(nvidia\|cuda\)-/d' -e '/^triton==/d' \
	  requirements.txt requirements-dev.txt

clean: ## Remove .venv and caches; runs stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

##@ Help
help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || \
	  { echo "Python 3.11 is needed and was not found (Debian: apt-get install python3.11)."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is missing (Debian: apt-get install python3.11-venv)."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install -qq uv==0.13.8
	@echo "Installing the pinned packages into $(VENV) ..."
	@$(UV) pip install -q --compile-bytecode --python $(BIN)/python -r requirements-dev.txt
	@$(UV) pip install -q --python $(BIN)/python --no-deps -e .
	@touch $@

.PHONY: train evaluate video report export runs ui tensorboard setup test lint format bench lock clean help
