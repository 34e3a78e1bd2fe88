# make talk: talk to the shipped model.   make test: run the tests.
# Each does all of its own set-up in .venv; a second call starts at once.
# On Linux, PyTorch's CPU build comes from PyTorch's own CPU index: set PIP_EXTRA_INDEX_URL to it if your pip would
# otherwise take the CUDA build (several GB).

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# OpenMP threads that spin while they wait make everything else on a small machine crawl (docs/decisions/threads.md)
export OMP_WAIT_POLICY := passive
export GOMP_SPINCOUNT := 0

.PHONY: talk test check clean

talk: .venv/.ready-talk
	@$(BIN)/viva serve --self-check $(ARGS)

test: .venv/.ready-test
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow and not gpu" $(ARGS)

# format, lint and types, as .ci/run checks them
check: .venv/.ready-test
	@$(BIN)/ruff format --check -q . && $(BIN)/ruff check -q . && $(BIN)/pyright

clean:
	rm -rf .venv

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "needs Python 3.11 or later (set PYTHON=...)"; exit 1; }
	@echo "setting up .venv (once; a few minutes)"
	@$(PYTHON) -m venv .venv

.venv/.ready-talk: pyproject.toml constraints.txt | .venv/bin/pip
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[serve]'
	@touch $@

.venv/.ready-test: pyproject.toml constraints.txt | .venv/bin/pip
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	@touch $@ .venv/.ready-talk
