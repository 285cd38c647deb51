# Savanna: `make train` trains Pong, `make test` runs the tests. Both set up what they need.
.DEFAULT_GOAL := help
SHELL := /bin/bash

EXPERIMENT ?= pong
RUN ?= latest
ARGS ?=
# A folder with a torch wheel; without one, infra/setup.sh decides.
TORCH_WHEELS ?=

FLAVOURS ?= cpu gpu
WORKERS ?= 2
SCANNER := anchore/grype:v0.110.0
export DOCKER ?= docker
export BASE_IMAGE ?= debian:bookworm-slim
export CA_BUNDLE ?=
export EXTRAS ?=
export TORCH_WHEELS

VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8
PYTHON := $(shell command -v python3.11 || command -v python3)
FIND_LINKS := $(wildcard $(or $(TORCH_WHEELS),$(UV_FIND_LINKS),$(PIP_FIND_LINKS)))
UV_ENV := UV_FIND_LINKS="$(FIND_LINKS)" UV_LINK_MODE=copy
UV := $(UV_ENV) $(BIN)/uv
LOCAL := $(BIN)/python -m infra.local
# A stack is one cluster on Azure and its settings, Pulumi.$(STACK).yaml. YES=1 answers questions.
STACK ?= dev
YES ?=
CONFIRM ?=
POOL ?= cpu
N ?=
HOURS ?=
REGION ?=
OWNER ?=
LOCATION ?=
AZURE := $(BIN)/python -m infra.operate
ON_STACK = --stack $(STACK) $(if $(YES),--yes)
export MLFLOW_DISABLE_TELEMETRY = true

##@ Train
train: setup ## Train EXPERIMENT=pong (or cartpole, atari); more options in ARGS="--seed 1"
	@$(BIN)/savanna train $(EXPERIMENT) $(ARGS)

evaluate: setup ## Evaluate RUN=latest
	@$(BIN)/savanna evaluate $(RUN) $(ARGS)

video: setup ## Film RUN=latest
	@$(BIN)/savanna video $(RUN) $(ARGS)

report: setup ## Rewrite the report of RUN=latest
	@$(BIN)/savanna report $(RUN) $(ARGS)

export: setup ## Export the policy of RUN=latest to ONNX
	@$(BIN)/savanna export $(RUN) $(ARGS)

##@ Look
runs: setup ## List the runs
	@$(BIN)/savanna runs $(ARGS)

ui: setup ## Open MLflow for your runs at 127.0.0.1:5000
	@mkdir -p runs
	$(BIN)/mlflow ui --backend-store-uri sqlite:///runs/mlflow.db --host 127.0.0.1 --port 5000 --workers 1

tensorboard: setup ## Open TensorBoard for your runs at 127.0.0.1:6006
	$(BIN)/tensorboard --logdir runs --host 127.0.0.1 --port 6006

##@ Cluster of containers on this machine
images: setup ## Build the images: FLAVOURS="cpu gpu", EXTRAS=doom, BASE_IMAGE=, TORCH_WHEELS=, CA_BUNDLE=
	@for flavour in $(FLAVOURS); do images/build.sh $$flavour || exit; done

test-images: setup ## Run the tests of the image (part of `make test`)
	@$(BIN)/python -m pytest -q tests/images $(ARGS)

image-sbom image-provenance: image-%: setup ## Write what the images contain and how they were built
	@mkdir -p build/images
	@for flavour in $(FLAVOURS); do \
	  $(BIN)/python images/describe.py $* savanna-$$flavour:latest > build/images/$$flavour.$*.json || exit; \
	  echo build/images/$$flavour.$*.json; done

image-scan: ## Scan the images for known, fixable vulnerabilities
	@for flavour in $(FLAVOURS); do \
	  $(DOCKER) run --rm -v /var/run/docker.sock:/var/run/docker.sock $(SCANNER) --only-fixed \
	    --fail-on critical docker:savanna-$$flavour:latest || exit; done

image-push image-sign: image-%: ## Push the images to REGISTRY and lock their tags; sign them
	@for flavour in $(FLAVOURS); do images/publish.sh $* $$flavour || exit; done

torch-wheel: ## Fetch TORCH_WHEELS_URL, a CPU wheel of torch, into images/wheelhouse
	@test -n "$(TORCH_WHEELS_URL)" || { echo "set TORCH_WHEELS_URL to the address of a CPU wheel of torch"; exit 2; }
	@mkdir -p images/wheelhouse && file=$$(basename "$(TORCH_WHEELS_URL)") && \
	  curl --fail --location --output "images/wheelhouse/$${file//%2B/+}" "$(TORCH_WHEELS_URL)"

cluster-up: setup ## Start a head and WORKERS=2 workers, wait until all have joined
	@$(LOCAL) up --workers $(WORKERS) $(ARGS)

cluster-status: setup ## Show the nodes and which have joined
	@$(LOCAL) status $(ARGS)

cluster-logs: setup ## Show the containers' output; ARGS="-f head" follows one
	@$(LOCAL) logs $(ARGS)

cluster-scale: setup ## Set the number of workers to WORKERS=n
	@$(LOCAL) scale --workers $(WORKERS) $(ARGS)

cluster-down: setup ## Keep the results in runs/, remove everything else
	@$(LOCAL) down $(ARGS)

##@ Cluster on Azure
plan: setup ## Preview STACK=dev offline: resources, permissions, price, quota; ARGS="--diff FILE"
	@$(BIN)/python -m infra.plan --stack $(STACK) $(ARGS)

prices: setup ## Fetch today's prices for REGION= into prices.json, which plan reads
	@$(BIN)/python -m infra.plan.prices --refresh $(if $(REGION),--region $(REGION)) $(ARGS)

doctor preview status ssh tunnel: setup
	@$(AZURE) $@ --stack $(STACK) $(ARGS)

doctor: ## Check everything that `up` needs: tools, login, sizes, quota
preview: ## Show what `up` would change, according to Pulumi and Azure
up: setup ## Build foundation, images and cluster, wait until all nodes have joined
	@$(AZURE) up $(ON_STACK) $(ARGS)

foundation: setup ## Build only what outlives clusters: registry, storage, vault, budget
	@$(AZURE) foundation $(ON_STACK) $(ARGS)

status: ## Show the machines and what they cost
ssh: ## Open a shell on the head; ARGS="-- nvidia-smi" runs a command
tunnel: ## Forward dashboard and Jobs API to 127.0.0.1, where `savanna submit` finds them
workers: setup ## Set the number of machines in POOL=cpu to N=
	@$(AZURE) workers --stack $(STACK) --pool $(POOL) -n "$(N)" $(ARGS)

extend: setup ## Let the cluster run HOURS= longer, without touching anything else
	@$(AZURE) extend --stack $(STACK) --hours "$(HOURS)" $(ARGS)

down: setup ## Destroy the cluster, keep results and images, check that nothing else is left
	@$(AZURE) down $(ON_STACK) $(ARGS)

expire: setup ## Destroy all clusters whose time is over, warn a day before (for a daily job)
	@$(AZURE) expire $(if $(YES),--yes) $(ARGS)

purge: setup ## Also destroy the foundation, with all results
	@$(AZURE) purge $(ON_STACK) --confirm "$(CONFIRM)" $(ARGS)

e2e: setup ## Create, use and destroy a small cluster: E2E=1 OWNER=mail LOCATION=region
	@E2E=$(E2E) $(AZURE) e2e --owner "$(OWNER)" --location "$(LOCATION)" $(ARGS)

##@ Develop
setup: $(VENV)/.installed ## Create .venv with pinned packages (other targets call it as needed)

test: setup ## Run the tests
	@$(BIN)/python -m pytest -q -n 2 --no-loadscope-reorder $(ARGS)

test-quick: setup ## Run the tests that start no process, in less than a minute; for every save
	@$(BIN)/python -m pytest -q -r fE -n 2 --quick $(ARGS)

soak: setup ## Run the tests that take minutes, which `make test` leaves out
	@$(BIN)/python -m pytest -q -m soak $(ARGS)

drills: setup ## Inject a hundred faults; updates docs/reliability.md; DRILL_SEED=1 for other moments
	@DRILL_TABLE=docs/reliability.md $(BIN)/python -m pytest -q -n 2 --no-loadscope-reorder -m '' tests/drills $(ARGS)

mutants: setup ## Plant known defects one by one; the tests must catch each; ARGS="--only plan"
	@$(BIN)/python -m tests.planted $(ARGS)

lint: setup ## Check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@shellcheck images/*.sh infra/*.sh infra/boot/files/*.sh .ci/run
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

format: setup ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup ## Compare our speed with stock RLlib's; updates docs/performance.md
	@$(BIN)/python -m benchmarks.bench $(ARGS)

bench-peers: setup ## Compare our MADDPG with AgileRL's and XuanCe's; updates docs/performance.md
	@$(UV_ENV) $(BIN)/python -m benchmarks.peers $(ARGS)

bench-pong: setup ## Train Pong with five seeds (SEEDS="1 2": others); updates docs/performance.md
	@$(BIN)/python -m benchmarks.pong_seeds $(if $(SEEDS),--seeds $(SEEDS)) $(ARGS)

bench-seeds: setup ## Train simple_spread with three seeds at once; updates docs/performance.md
	@$(BIN)/python -m benchmarks.particle_seeds $(ARGS)

bench-algorithms: setup ## Compare MADDPG with RLlib's PPO on simple_spread; updates docs/performance.md
	@$(BIN)/python -m benchmarks.particle_algorithms $(ARGS)

bench-containers: setup ## Measure containers' overhead; needs the cpu image; updates docs/performance.md
	@$(BIN)/python -m benchmarks.containers $(ARGS)

lock: setup ## Resolve requirements*.in into the pinned requirements*.txt
	@$(UV) pip compile -q --no-header --no-annotate --no-emit-index-url --no-emit-find-links requirements.in -o requirements.txt
	@$(UV) pip compile -q --no-header --no-annotate --no-emit-index-url --no-emit-find-links requirements-infra.in -o requirements-infra.txt
	@$(UV) pip compile -q --no-header --no-annotate --no-emit-index-url --no-emit-find-links requirements-doom.in -o requirements-doom.txt
	@$(UV) pip compile -q --no-header --no-annotate --no-emit-index-url --no-emit-find-links requirements-dev.in -o requirements-dev.txt
	@UV_FIND_LINKS= $(BIN)/uv pip compile -q --no-header --no-annotate --no-emit-index-url \
	  -c requirements.txt images/torch-cpu.txt | grep -E '^(torch|nvidia|cuda|triton)' > images/torch-gpu.txt
	@# The pins must fit torch's CPU and CUDA builds alike; the CUDA build pins its own libraries.
	@sed -i -e 's/^torch==\([0-9.]*\)+.*/torch==\1/' -e '/^\(nvidia\|cuda\)-/d' -e '/^triton==/d' \
	  requirements.txt requirements-dev.txt

clean: ## Remove .venv and caches, keep runs
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

##@ Help
help: ## Show this list
	@echo "The first command also creates $(VENV): 3.2 GB and 2 minutes; with torch's CUDA build, 7.0 GB and 3 minutes or more."
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z0-9 -]+:.*## / {count = split($$1, names, " "); \
	  for (i = 1; i <= count; i++) printf "  make %-17s %s\n", names[i], $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: requirements-dev.txt pyproject.toml
	@PYTHON="$(PYTHON)" infra/setup.sh $(UV_VERSION)

.PHONY: train evaluate video report export runs ui tensorboard images cluster-up cluster-status \
  cluster-logs cluster-scale test-images image-sbom image-provenance image-scan image-push \
  image-sign torch-wheel cluster-down plan prices doctor preview up foundation status ssh tunnel \
  workers extend down expire purge e2e setup test test-quick soak drills mutants lint format bench bench-peers \
  bench-pong bench-seeds bench-algorithms bench-containers lock clean help
