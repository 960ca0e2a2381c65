# Parley, from a fresh checkout: make run, make test. Needs Python >= 3.11, make and a network; writes only in here.
# Everything comes to .venv (Python, Node), .cache, .tools and node_modules; make distclean removes all of it.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules

ifneq ($(origin PYTHON), undefined)
export PYTHON
endif
export UV_CACHE_DIR ?= $(CURDIR)/.cache/uv
export npm_config_cache ?= $(CURDIR)/.cache/npm
export PYTHONUNBUFFERED ?= 1

BIN := .venv/bin
TYPED := $(wildcard src sdk/python/src sdk/python/scripts tests tools proof hatch_build.py)
PAGE := $(BIN)/python tools/build_page.py
WORKERS ?=

.PHONY: help run test check fmt services services-stop test-crash test-uploads proof bench lock build clean distclean environment

help: ## this list
	@echo "make <what>:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/    \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
	@echo "PORT=8080 and ARGS='…' go to the server (run), ARGS='…' to pytest (test), parley bench and proof."
	@echo "WORKERS=0 runs the tests one after the other; PYTHON=… names the Python to begin with."

run: environment ## the server with the page, here, at the address it prints
	@$(PAGE)
	@exec $(BIN)/parley serve $(if $(PORT),--port $(PORT)) $(ARGS)

test: environment ## every test this machine can run; what it cannot is listed at the end
	@$(BIN)/python tools/run_tests.py $(if $(WORKERS),-n $(WORKERS)) $(ARGS)

check: environment ## format, lint and types: Python, SDK and page
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(TYPED)
	$(PAGE) --npm sdk/typescript run check
	$(PAGE) --npm web run check

fmt: environment ## put Python files in the project's form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

services: environment ## bring what the tests use beside Python and Node
	@$(BIN)/python tools/services.py

services-stop: ## stop it again
	@$(BIN)/python tools/services.py --stop

test-crash: environment ## three hundred kill -9 under load instead of twenty-five
	@PARLEY_CRASH_ROUNDS=$${PARLEY_CRASH_ROUNDS:-300} $(BIN)/python -m pytest tests/crash --timeout 7200 -o session_timeout=14400 $(ARGS)

test-uploads: environment ## a gibibyte by two tus clients, through twelve cuts and three kill -9 each
	@cd tools && ../$(BIN)/python -c "import run_tests; run_tests.upload_clients()"
	@PARLEY_UPLOAD_MIB=1024 PARLEY_UPLOAD_CUTS=12 $(BIN)/python -m pytest tests/files/test_clients.py -s --timeout 1800 $(ARGS)

proof: environment ## the full figures of the durability claim; hours
	@$(PAGE)
	@$(BIN)/python proof/run.py $(ARGS)

bench: environment ## measure this machine
	@$(BIN)/parley bench $(ARGS)

lock: environment ## write the lock files anew (UPGRADE=1: with the newest versions that fit)
	@$(BIN)/python tools/lock.py $(if $(UPGRADE),--upgrade)

build: environment ## the wheel, with the page in it, to dist/
	@$(BIN)/uv build --wheel --no-build-isolation --python $(BIN)/python --out-dir dist

clean: ## what was built; packages and data stay
	@rm -rf dist web/dist sdk/typescript/dist .cache/stamps .mypy_cache .ruff_cache .pytest_cache .hypothesis test-results
	@find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

distclean: clean ## that and everything that was brought; data stays
	-@test ! -d .services || $(BIN)/python tools/services.py --remove
	@rm -rf .venv .tools .cache .services web/node_modules sdk/typescript/node_modules

environment:
	@python=$$(sh tools/find_python.sh) && "$$python" tools/bootstrap.py
