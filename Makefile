# Needs make, git and Python 3.11, 3.12 or 3.13; everything else goes into .venv.
#   make run         set up, then plan the demo company's newest cycle into workspace/
#   make test        every test            make lint    ruff, mypy, import rules
#   make lab         JupyterLab            make bench   the benchmarks
#   make dashboards  the web pages         make docs    the generated pages

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKSPACE ?= workspace
WORKERS ?= 2

# LightGBM needs the system's OpenMP library, which compilers bring and bare machines lack.
OPENMP := if ! command -v ldconfig >/dev/null || ldconfig -p | grep -q libgomp.so.1; then :; \
  elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then echo "installing libgomp1"; \
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends libgomp1; } >/dev/null 2>&1 || true; \
  else echo "missing Debian package libgomp1: install it, or set forecast.effort: quick in sop.yaml"; fi

.DEFAULT_GOAL := run
.PHONY: run setup test lab dashboards bench lint docs system-packages

run: setup $(WORKSPACE)/sop.yaml
	@$(BIN)/sop run --workspace $(WORKSPACE)

$(WORKSPACE)/sop.yaml: | setup
	@$(BIN)/sop new $(WORKSPACE) --demo

setup: $(STAMP)
	@$(BIN)/python -m compileall -q sop_workbench

# Compiled after the install: some machines are set to leave no .pyc behind, which doubles every start.
$(STAMP): requirements.lock pyproject.toml
	@python=$$(for p in "$(PYTHON)" python3.13 python3.12 python3.11 python3; do \
	    [ -n "$$p" ] && "$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && echo "$$p" && break; \
	  done); \
	if [ -x $(BIN)/python ]; then :; \
	elif [ -n "$$python" ]; then echo "making $(VENV) with $$python"; "$$python" -m venv $(VENV); \
	else echo "no Python 3.11, 3.12 or 3.13 found; install one, or say which: make run PYTHON=/path/to/python" >&2; exit 1; fi
	@echo "installing the locked packages (once, a few minutes)"
	@$(OPENMP)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/jupyter labextension disable --level=sys_prefix "@jupyterlab/apputils-extension:announcements" >/dev/null 2>&1
	@$(BIN)/python -m compileall -q -j $(WORKERS) $(VENV)/lib >/dev/null 2>&1 || true
	@touch $@

test: setup system-packages
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

# Tests that need a browser or a database server skip where these Debian packages are missing.
system-packages:
	@missing=""; \
	command -v chromium >/dev/null || missing="$$missing chromium fonts-dejavu-core"; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$$missing postgresql"; \
	if [ -z "$$missing" ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing$$missing"; \
	  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends $$missing; } >/dev/null 2>&1 \
	    || echo "could not install$$missing: the tests that need them skip"; \
	else echo "missing Debian packages:$$missing (the tests that need them skip; apt-get install$$missing)"; fi

lint: setup
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lab: setup $(WORKSPACE)/sop.yaml
	@$(BIN)/sop lab --workspace $(WORKSPACE)

# On this machine; prints the link. `make dashboards OPTIONS="--port 8000"`, and docs/serving.md for more than one viewer.
dashboards: run
	@$(BIN)/sop dashboards --workspace $(WORKSPACE) $(OPTIONS)

bench: setup
	@for script in benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

docs: setup
	@$(BIN)/python -c 'from sop_workbench.tables import dictionary_markdown; print(dictionary_markdown(), end="")' > docs/data_dictionary.md
	@$(BIN)/python -c 'from sop_workbench.supply.document import model_markdown; print(model_markdown(), end="")' > docs/supply_model.md
	@echo "wrote docs/data_dictionary.md and docs/supply_model.md"
