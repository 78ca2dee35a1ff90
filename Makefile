# Two commands: `make bench` measures this machine, `make test` checks the suite. Each sets up what it needs in .venv.
#
#   make bench ARGS="--quick"        options for bandmark run
#   make bench ACCEL=cuda12          for a driver of CUDA 12 (cuda13, cuda12 or cpu; found out by default)
#   make test TORCH="torch==2.12.0"  another torch for the tests
#   make gpu-selftest                whether the suite works on this GPU; leaves a file for bug reports
#   make lint | yardstick | sass | test-bench | results-docs | decode-fit | clean

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
ACCEL  ?= $(if $(shell nvidia-smi -L 2>/dev/null),cuda13,base)
TORCH  ?= torch==2.13.0

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# A container that brings its own torch or CuPy (NVIDIA's do) keeps it: the environment sees the system's packages,
# and what is there is not installed again. With the system's torch alone, CuPy comes without a torch (extra cupy13),
# and beside its CuPy what reads the sensors alone (nvml).
OWN    := $(shell $(PYTHON) -c "from importlib.util import find_spec as f; print(*[m for m in ('torch', 'cupy') if f(m)])" 2>/dev/null)
SYSTEM := $(if $(OWN),--system-site-packages)
GPU    := $(patsubst cuda%,%,$(filter cuda%,$(ACCEL)))
EXTRAS := $(if $(filter cupy,$(OWN)),$(if $(GPU),nvml),$(if $(GPU),$(if $(filter torch,$(OWN)),cupy$(GPU),cuda$(GPU)),$(filter cpu,$(ACCEL))))

.PHONY: bench gpu-selftest test lint yardstick sass test-bench results-docs decode-fit clean

bench: $(VENV)/.bench-$(ACCEL)
	$(BIN)/bandmark run $(ARGS)

gpu-selftest: $(VENV)/.bench-$(ACCEL)
	$(BIN)/bandmark selftest $(ARGS)

test: $(VENV)/.test
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

yardstick: $(VENV)/.test
	$(BIN)/python tests/yardstick/run.py $(ARGS)

sass: $(VENV)/.test
	$(BIN)/python tests/cuda/sass.py --all $(ARGS)

test-bench: $(VENV)/.test
	$(BIN)/python -m pytest tests/benchmarks --benchmark-enable --benchmark-only $(ARGS)

results-docs: $(VENV)/.bench-$(ACCEL)
	$(BIN)/python -m bandmark.publishing.folder results

decode-fit: $(VENV)/.bench-$(ACCEL)
	$(BIN)/python tools/fit_decode.py

clean:
	rm -rf $(VENV) build dist

$(VENV)/bin/python:
	$(PYTHON) -m venv $(SYSTEM) $(VENV)

$(VENV)/.bench-$(ACCEL): pyproject.toml | $(VENV)/bin/python
	$(PIP) install --quiet --no-compile -e ".$(if $(EXTRAS),[$(EXTRAS)])"
	@touch $@

# The tests bring torch, because its kernels are tested, and it goes first: a requirement that it satisfies
# does not replace it.
$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(if $(filter torch,$(OWN)),,$(PIP) install --quiet "$(TORCH)")
	$(PIP) install --quiet -e ".[test]"
	@touch $@

$(VENV)/.dev: $(VENV)/.test
	$(PIP) install --quiet -e ".[test,dev]"
	@touch $@
