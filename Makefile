# `make demo` and `make test` are all a fresh machine needs: Python 3.10-3.12 with venv, make, a C++ compiler.
#   PYTHON=python3.11    the interpreter that .venv is made with
#   PYTEST_ARGS="-k lsl" arguments for pytest
#   DEMO_ARGS="--json"   arguments for the demo
#   CMAKE_ARGS=...       options for the build of llama.cpp, such as -DGGML_CUDA=on

PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.10 python; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 13))' 2>/dev/null && echo $$p && exit; \
	done; echo python3)
BENCHMARKS ?= latency replay
DEMO_ARGS ?= --headless

bin := .venv/bin
bootstrap = @command -v "$(PYTHON)" >/dev/null || \
	{ echo "Volition needs Python 3.10, 3.11 or 3.12, and '$(PYTHON)' was not found." >&2; exit 1; }; \
	"$(PYTHON)" -B packaging/bootstrap.py
recipe := pyproject.toml setup.py packaging/bootstrap.py packaging/llama.cmake

# Two targets may want the same .venv.
.NOTPARALLEL:
.PHONY: help demo test lint bench install install-dev clean

help:  ## what make can do
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

demo: install  ## three phrases written by a simulated person, in this terminal
	@$(bin)/volition demo $(DEMO_ARGS)

test: install-dev  ## all tests
	$(bin)/python -m pytest $(PYTEST_ARGS)

lint: install-dev  ## style and types
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy

bench: install  ## every benchmark, one table each
	@set -e; for name in $(BENCHMARKS); do $(bin)/python -m benchmarks.$$name; done

install: .venv/.installed  ## .venv with what running needs
install-dev: .venv/.installed-dev  ## .venv with what developing needs

.venv/.installed: $(recipe)
	$(bootstrap)

.venv/.installed-dev: $(recipe)
	$(bootstrap) --dev

clean:  ## remove .venv and everything that was built or cached
	rm -rf .venv build dist volition.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
