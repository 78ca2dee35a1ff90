# Two commands: `make bench` measures this machine, `make test` checks the suite. Each sets up what it needs in .venv.
#
#   make bench ARGS="--quick"        options for bandmark run
#   make bench ACCEL=cuda12          for a driver of CUDA 12 (cuda13, cuda12, cpu or base; found out by default)
#   make gpu-selftest                whether the suite works on this GPU; leaves a file for bug reports
#   make gpu-day                     everything on this GPU, in some 30 minutes: a folder with figures and what they confirm
#   make test TORCH="torch==2.12.0"  another torch for the tests
#   make test-all                    every form of every kernel as well, the notebook, the browser: some minutes
#   make mutants                     whether the tests of the CUDA sources find each of many broken kernels
#   make mutation                    which share of mutants of the measuring core the tests find (mutmut), module by module
#   make test-bench                  large benchmarks, and simulations of comparisons
#   make docs                        the site of docs/, in build/site
#   make picture                     docs/report.svg, the README's picture, from a published run
#   make lint | yardstick | sass | results-docs | decode-fit | clean

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
ACCEL  ?= $(if $(shell nvidia-smi -L 2>/dev/null),cuda13,cpu)
# The torch of the tests. On Linux this brings CUDA libraries of some gigabytes, unless torch for CPUs is there already:
#   python3 -m venv .venv && uv pip install --torch-backend=cpu torch==2.13.0
TORCH  ?= torch==2.13.0

ifneq ($(words $(VENV)),1)
$(error VENV is '$(VENV)', and make can't name a file whose path has a space: give a path without one)
endif
ifeq ($(filter cuda13 cuda12 cpu base,$(ACCEL)),)
$(error ACCEL is '$(ACCEL)', which is none of cuda13, cuda12, cpu and base)
endif

BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 8
# Not --quiet, which hides broken links from --strict. The variable silences an advertisement.
SITE   := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# A container that brings its own torch or CuPy (NVIDIA's do) keeps it: the environment sees the system's packages,
# and what is there is not installed again.
OWN    := $(shell "$(PYTHON)" -c "from importlib.util import find_spec as f; print(*[m for m in ('torch', 'cupy') if f(m)])" 2>/dev/null)
SYSTEM := $(if $(OWN),--system-site-packages)

# The extra to install, by ACCEL and what the system has: nothing, torch alone (then CuPy comes without a torch), CuPy
# (then what reads the sensors alone comes).
EXTRA.cuda13       := cuda13
EXTRA.cuda13.torch := cupy13
EXTRA.cuda13.cupy  := nvml
EXTRA.cuda12       := cuda12
EXTRA.cuda12.torch := cupy12
EXTRA.cuda12.cupy  := nvml
EXTRA.cpu          := cpu
EXTRA.cpu.torch    := cpu
EXTRA.cpu.cupy     := cpu
EXTRA := $(EXTRA.$(ACCEL)$(addprefix .,$(lastword $(OWN))))

.PHONY: bench gpu-selftest gpu-day test test-all mutants mutation lint docs picture yardstick sass test-bench results-docs \
        decode-fit clean

bench: $(VENV)/.bench-$(ACCEL)
	$(BIN)/python -m bandmark run $(ARGS)

gpu-selftest: $(VENV)/.bench-$(ACCEL)
	$(BIN)/python -m bandmark selftest $(ARGS)

gpu-day: $(VENV)/.bench-$(ACCEL)
	$(BIN)/python -m bandmark selftest --full $(ARGS)

# pytest-xdist uses every processor, and pytest-randomly changes the order: ARGS="-n 0 -p no:randomly" does neither.
test: $(VENV)/.test
	$(PYTEST) $(ARGS)

test-all: $(VENV)/.test-all
	$(PYTEST) -m "not mutants" $(ARGS)

mutation: $(VENV)/.test
	$(PIP) install -q "mutmut>=3.8"
	$(BIN)/python tools/mutation.py $(ARGS)

mutants: $(VENV)/.test
	$(PYTEST) -m mutants $(ARGS)

test-bench: $(VENV)/.test
	$(BIN)/python -m pytest tests/benchmarks -p no:randomly --benchmark-enable --benchmark-only -m "" $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(SITE)

docs: $(VENV)/.dev
	$(SITE)

yardstick: $(VENV)/.test
	$(BIN)/python tests/yardstick/run.py $(ARGS)
	$(BIN)/python tests/yardstick/hierarchy.py

sass: $(VENV)/.test
	$(BIN)/python tests/cuda/sass.py --all $(ARGS)

results-docs: $(VENV)/.bench-$(ACCEL)
	$(BIN)/python -m bandmark.publishing.folder results

picture: $(VENV)/.bench-$(ACCEL)
	$(BIN)/python tools/picture.py

decode-fit: $(VENV)/.bench-$(ACCEL)
	$(BIN)/python tools/fit_decode.py

clean:
	rm -rf $(VENV) .cache build dist

$(BIN)/python:
	"$(PYTHON)" -m venv $(SYSTEM) $(VENV)

# Numba and LLVM are never built from source: where there is no wheel for this Python, NumPy alone is measured.
WITHOUT_NUMBA := echo "There is no Numba for this Python: going on with NumPy alone."; $(PIP) install --quiet -e .

$(VENV)/.bench-$(ACCEL): pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --no-compile --only-binary numba,llvmlite -e ".$(addsuffix ],$(addprefix [,$(EXTRA)))"$(if $(filter cpu,$(ACCEL)), || { $(WITHOUT_NUMBA); })
	@touch $@

# The tests bring torch, because its kernels are tested, and it goes first: a requirement that it satisfies
# does not replace it.
$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(if $(filter torch,$(OWN)),,$(PIP) install --quiet "$(TORCH)")
	$(PIP) install --quiet -e ".[test]"
	@touch $@

$(VENV)/.test-all: $(VENV)/.test
	$(PIP) install --quiet -e ".[test-all]"
	@touch $@

# Everything at once takes half the time.
$(VENV)/.all: pyproject.toml | $(BIN)/python
	$(if $(filter torch,$(OWN)),,$(PIP) install --quiet "$(TORCH)")
	$(PIP) install --quiet -e ".[test,test-all,dev]"
	@touch $(VENV)/.test $(VENV)/.test-all $(VENV)/.dev $@

$(VENV)/.dev: $(VENV)/.test
	$(PIP) install --quiet -e ".[test,dev]"
	@touch $@
