# Few words: demo, test, check, bench. Each sets up what it needs. Works from a path with a space: all paths are relative.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: demo up test test-cluster chaos soak newcomer check bench setup lock clean compose compose-check

demo: $(READY)
	@$(BIN)/python -m movers demo $(ARGS)

up: $(READY)
	@$(BIN)/python -m movers up $(ARGS)

# Side by side, a file's tests in one process: most of the time they wait. In the order of tests/conftest.py, not by how
# many tests a file has: that mixes the folders, and each change of folder ends its servers and starts others.
test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-cluster: $(READY)
	MOVERS_CLUSTER=1 $(BIN)/python -m pytest tests/cluster -s $(ARGS)

newcomer: $(READY)
	@$(BIN)/python -m tests.newcomer $(ARGS)

chaos: $(READY)
	@$(BIN)/python -m tests.chaos $(ARGS)

soak: $(READY)
	@$(BIN)/python -m tests.soak $(ARGS)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/checks.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/python -m pytest -q tests/compose tests/ops -m "not stack and not browser"

# With an engine: brings docker-compose.yml up (DEMO=1: simulated venues; SHARDED=1: collectors by category).
compose: $(READY)
	@$(BIN)/python -m ops.compose.up

# The whole of it on an engine, from a clean checkout to nothing left; stand-ins where the images cannot be had.
compose-check: $(READY)
	@$(BIN)/python -m ops.compose.check

bench: $(READY)
	@$(BIN)/python -m bench $(ARGS)

setup: $(READY)

$(READY): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "movers needs Python 3.11 to 3.13; name one with PYTHON=python3.12 make …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r constraints.txt
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	-@$(BIN)/python -m movers compile
	@touch $(READY)

# Needs uv. Hashes, no index addresses. The image gets only what runs in production.
LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-annotate --no-header
lock:
	$(LOCK) --extra local --group dev -o constraints.txt
	sed -e 's/ \\$$//' -e '/^    --hash/d' constraints.txt > .venv/pins.txt
	$(LOCK) --constraint .venv/pins.txt -o constraints-image.txt
	$(LOCK) --extra local --constraint .venv/pins.txt -o ops/compose/standins/requirements.txt

clean:
	rm -rf $(VENV) .movers .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
