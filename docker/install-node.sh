#!/bin/sh
# Fills /opt/venv with what a node of a cluster runs: the packages of /src/node.lock, and this project.
set -eu
uv() { /opt/tools/bin/uv pip "$@"; }
uv sync --no-cache --quiet --python /opt/venv/bin/python /src/node.lock
uv install --no-cache --quiet --no-deps --python /opt/venv/bin/python /wheel/*.whl
