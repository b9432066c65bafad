# Two commands: `make run` and `make test`. Everything is installed into .venv.
VENV := .venv
BIN := $(VENV)/bin
SIZE ?= 512
PORT ?= 8080

.PHONY: run test test-slow check bench pictures clean

$(BIN)/python:
	tools/venv.sh $(VENV)

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

pictures: $(VENV)/test.stamp
	$(BIN)/python -m benchmarks.pictures
	$(BIN)/python -m benchmarks.pictures --references

clean:
	rm -rf $(VENV) build *.egg-info
