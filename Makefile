# Everything a person types: `make quickstart` sets up and runs a sweep, `make test` and `make lint` check the project.
# Python's own venv and pip are enough to begin with; uv comes into the environment by pip and installs the lock.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9

# Ray's workers would otherwise compile every import again, each time they start.
unexport PYTHONDONTWRITEBYTECODE
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION := false

.PHONY: quickstart setup test test-cluster chaos bench lint lock clean

quickstart: setup  ## twelve trials on the built-in model, and a champion
	$(BIN)/sweeps launch quickstart --resume

setup: $(VENV)/.installed  ## the environment in .venv, exactly as locked

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, but $(PYTHON) is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip sync --quiet --python $(BIN)/python requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

test: setup  ## all tests but those of a cluster; those that need Chromium, torch or a GPU are skipped where there is none
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --ignore tests/cluster  # most wait for processes

test-cluster: setup  ## a Ray cluster of several hosts on this machine (needs root, and PostgreSQL)
	$(BIN)/pytest tests/cluster

chaos: setup  ## short sweeps whose parts are killed at random moments: 50 of them, in at least 10 sweeps (needs PostgreSQL)
	PYTHONPATH=.:mlflow $(BIN)/python -m tests.chaos $(CHAOS)

BENCHMARKS := step sweep start orchestration search memory gpu

bench: setup  ## every benchmark in turn, then benchmarks/RESULTS.md; a quiet machine, and three to five hours of it
	for name in $(BENCHMARKS); do PYTHONPATH=.:mlflow $(BIN)/python -m benchmarks.$$name || exit 1; done
	PYTHONPATH=.:mlflow $(BIN)/python -m benchmarks.results

lint: setup  ## style, types, and which package may import which
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

SOLVE = $(BIN)/uv pip compile --quiet --generate-hashes --python-version 3.11 --no-annotate --no-header \
  --no-emit-index-url --no-emit-find-links --no-emit-package tensorflow --no-emit-package tensorflow-text \
  --override requirements.overrides.txt
NODE := --extra cluster --extra postgres --extra s3 --extra gcs --extra hf

lock: setup  ## solve the dependencies again, the images' too; nothing of TensorFlow, no addresses
	$(SOLVE) --universal --group dev --extra postgres --output-file requirements.lock pyproject.toml
	for target in cpu cuda tpu; do \
	  extra=$$([ $$target = cpu ] || echo --extra $$target); \
	  $(SOLVE) --python-platform x86_64-manylinux_2_36 --constraint requirements.lock $(NODE) $$extra \
	    --output-file docker/locks/$$target.lock pyproject.toml || exit 1; \
	done
	$(SOLVE) --python-platform x86_64-manylinux_2_36 --constraint requirements.lock \
	  --output-file docker/locks/mlflow.lock docker/mlflow/requirements.in

clean:  ## remove the environment; sweeps-data stays
	rm -rf $(VENV)
