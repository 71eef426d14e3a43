# Thin names for bootstrap.py: without make, `python3 bootstrap.py demo` and `python3 bootstrap.py test` do the same.
MAKEFLAGS += --no-print-directory
PYTHON ?= python3
ARGS ?=
ifdef TORCH_INDEX
export TORCH_INDEX
endif
.DEFAULT_GOAL := help
.PHONY: help bootstrap demo test lint promises bench chaos clean

help: 
	@echo "make demo      the whole line on real texts: two servers, six annotators; Ctrl-C ends it"
	@echo "               ARGS=\"--fresh\" starts over, ARGS=\"--exit --json\" ends with figures as JSON"
	@echo "               TORCH_INDEX=https://... installs torch from another index (configs/locks/README.md)"
	@echo "make bootstrap everything that demo and test need, without running them"
	@echo "make test      ruff, mypy, import contracts, then every test"
	@echo "make lint      the checks without the tests"
	@echo "make promises  the statistical promises, simulated at length"
	@echo "make bench     the benchmarks, each ending with one line of JSON"
	@echo "make chaos     the fault campaign, for hours; ARGS=\"--minutes 30 --only sim\" for less"
	@echo "make clean     removes environments, caches and logs; the demo's data stay in data/"

# exec: the program takes the place of make's shell, so Ctrl-C and kill reach it.
demo test lint promises bench chaos:
	@exec $(PYTHON) bootstrap.py $@ $(ARGS)

bootstrap:
	@exec $(PYTHON) bootstrap.py all

clean:
	@rm -rf .venv .venv-ls .cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info
