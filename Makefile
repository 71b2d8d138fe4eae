# make demo    install into .venv, train on the built-in digits, show what came out (about two minutes)
# make test    install what tests need, run the fast tests        make slow   the long ones
# make lint    ruff and pyright                                   make lock   renew requirements.lock
#                                                                 (and move torch: make lock TORCH=torch==X)
#
# On Linux, pip takes the CUDA build of torch unless told otherwise. For the much smaller CPU build give the
# index of PyTorch's install page:  make demo TORCH_INDEX=<address>

PYTHON ?= python3
TORCH_INDEX ?=
TORCH ?= $(shell sed -n 's/^\(torch==[^;]*\).*/\1/p' requirements.lock)

BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
DEMO := runs/demo
# files to test, options: make test T="tests/data -x"
T ?=

.PHONY: demo test slow lint lock clean
.DELETE_ON_ERROR:

demo: .venv/.core
	rm -rf $(DEMO)
	$(BIN)/limner train digits --out $(DEMO) --for 90s --seed 0
	$(BIN)/limner sample $(DEMO) -n 64 --seed 0 --out $(DEMO)/grid.png
	@echo
	@echo "What it paints:     $(DEMO)/grid.png"
	@echo "How it learnt:      $(DEMO)/curve.png"
	@echo "The model:          $(DEMO)/model.safetensors"
	@echo "Try next:           $(BIN)/limner sample $(DEMO) --label 3 --out $(DEMO)/threes.png"

test: .venv/.test
	$(BIN)/python -m pytest -q -n 2 --dist worksteal $(T)

slow: .venv/.test
	$(BIN)/python -m pytest -q -m slow --timeout 3600 $(T)

lint: .venv/.dev
	$(BIN)/ruff check
	$(BIN)/pyright

# The first install brings torch alone, so that everything after it meets the build that was chosen.
.venv/.core: pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Limner needs Python 3.10 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(PIP) install $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	$(PIP) install -c requirements.lock -e .
	touch $@

.venv/.test: .venv/.core
	$(PIP) install -c requirements.lock -e '.[test]'
	touch $@

.venv/.dev: .venv/.test
	$(PIP) install -c requirements.lock -e '.[dev]'
	touch $@

lock:
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(PIP) install $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	$(PIP) install -e '.[dev]'
	$(BIN)/python .ci/lock.py > requirements.lock

clean:
	rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis
