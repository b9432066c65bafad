# Two commands: `make run` and `make test`. Everything is installed into .venv.
PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
SIZE ?= 512
PORT ?= 8080

.PHONY: run test test-slow check bench clean

$(BIN)/python:
	@if [ -n "$(PYTHON)" ] && $(PYTHON) -m venv $(VENV) 2>/dev/null; then true; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		rm -rf $(VENV); apt-get update -qq && apt-get install -y -qq python3 python3-venv && \
		python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' && python3 -m venv $(VENV); \
	elif command -v uv >/dev/null; then rm -rf $(VENV); uv venv --seed --python 3.12 $(VENV); \
	else echo "Python 3.11 or newer with venv is needed: install python3-venv, or uv" >&2; exit 1; fi

$(VENV)/run.stamp: pyproject.toml tools/install.sh | $(BIN)/python
	tools/install.sh $(BIN)/python run
	@touch $@

$(VENV)/test.stamp: pyproject.toml tools/install.sh | $(BIN)/python
	tools/install.sh $(BIN)/python test
	@touch $@

run: $(VENV)/run.stamp
	$(BIN)/avatar-server --port $(PORT) --size $(SIZE)

test: $(VENV)/test.stamp
	$(BIN)/python -m pytest -m "not slow"

test-slow: $(VENV)/test.stamp
	$(BIN)/python -m pytest

check: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.engine --engine lite --size 512 --seconds 10
	$(BIN)/python -m benchmarks.live --seconds 60

clean:
	rm -rf $(VENV) build *.egg-info
