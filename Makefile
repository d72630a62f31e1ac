# On a fresh machine: `make run` does the main job, `make test` proves it. Both make the environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# CuPy imports without a GPU: its backend is tested against the real library everywhere. EXTRAS=dev leaves it out.
EXTRAS ?= dev,cupy
OUT ?= vecprop-demo
# Processes that share the tests; those that measure time run afterwards, alone.
JOBS ?= 2
PYODIDE ?= 314.0.7
# For the machine's own Python; what it has on its path stays.
FROM_SOURCE := src:backends$(if $(PYTHONPATH),:$(PYTHONPATH))

# The tests start hundreds of processes: what one has compiled of the sources serves the others.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help env run test test-all quick lint format pictures notebooks bench bench-peers bench-estimators bench-tables bench-gpu reliability mutants coverage audit smoke docs docs-check gpu pyodide clean

help:
	@echo "make run     environment, then the demonstration: gradients checked, digits learned, pictures in $(OUT)/"
	@echo "make test    environment, lint, all tests but those of reliability and those that need a GPU"
	@echo "make test-all   the long ones: reliability, whole demonstrations, most cases on JAX; continuous integration runs both"
	@echo "make quick   the mathematics and the training on NumPy, a minute"
	@echo "make lint    ruff and mypy --strict"
	@echo "make pictures   every picture of the documentation, drawn anew into docs/images/; half a minute"
	@echo "make notebooks   run the notebooks and keep their outputs; half a minute"
	@echo "make bench   the benchmark suite; make smoke runs each benchmark once"
	@echo "make bench-peers   against scikit-learn, PyTorch, Keras and JAX with optax, which it installs; half an hour"
	@echo "make bench-estimators   scores and times of the estimators beside scikit-learn's; two minutes"
	@echo "make bench-tables   public tables beside LightGBM, CatBoost, XGBoost, scikit-learn, in an environment of its own; fifteen minutes"
	@echo "make bench-gpu   on a GPU: bounds, training, gradients, K networks, memory; from the source tree; eight minutes"
	@echo "make reliability   the long tests of reliability, and the table of docs/reliability.md from what they measured"
	@echo "make audit   known vulnerabilities of what is installed, by pip-audit; needs the network"
	@echo "make mutants   mistakes put into the mathematical core and the maps and choices of packs, one at a time: which of them no test notices; two and a half hours"
	@echo "make coverage   the whole suite, and which lines and branches it does not reach"
	@echo "make docs    the documentation site, into site/; warnings are errors"
	@echo "make docs-check   build it, and look at every page in Chromium at the width of a phone"
	@echo "make gpu     the whole suite with CuPy and JAX required on a GPU, from the source tree, nothing installed"
	@echo "make pyodide   in the Python of the browser, under Node: a lesson of gradients, a fit, estimators and a picture"
	@echo "make clean   remove the environment and what was built"

env: $(VENV)/.done

$(VENV)/.done: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[$(EXTRAS)]"
	touch $@

run: env
	$(BIN)/vecprop demo --out $(OUT)

# JAX compiles for most of the time. Here it optimizes little, and what one process has compiled serves the others.
QUICK_JAX := XLA_FLAGS="--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true" \
	JAX_COMPILATION_CACHE_DIR=$(CURDIR)/build/jax JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 \
	JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES=-1

test: lint
	$(QUICK_JAX) $(BIN)/python -m pytest -m "not gpu and not alone and not reliability and not on_jax" -n $(JOBS) --dist worksteal -q
	$(BIN)/python -m pytest $$(grep -rl mark.alone tests) -m "alone and not gpu and not reliability and not on_jax" -q
	$(QUICK_JAX) $(BIN)/python -m pytest benchmarks -m smoke --benchmark-disable -n $(JOBS) -q

# What `test` leaves out: nineteen of twenty cases on JAX; faults and sudden ends, several processes and devices,
# scikit-learn's own checks, whole demonstrations and notebooks, the benchmarks' harness, on JAX as users compile.
test-all: env
	$(QUICK_JAX) $(BIN)/python -m pytest -m "on_jax and not gpu and not alone and not reliability" -n $(JOBS) --dist worksteal -q
	$(BIN)/python -m pytest -m "reliability and not gpu and not alone" -n $(JOBS) --dist worksteal -q
	$(BIN)/python -m pytest tests -m "(reliability or on_jax) and alone and not gpu" -q

QUICK := tests/test_*.py tests/utils tests/backends tests/nn tests/training
quick: env
	$(BIN)/python -m pytest $(QUICK) -m "not gpu and not slow and not reliability and not alone" -k "not jax" \
		-n $(JOBS) --dist worksteal -q

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: env
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

pictures: env
	$(BIN)/python docs/pictures.py

# Without the time of each cell; what a cell prints stays in one piece. tests/project/test_docs.py runs them and keeps nothing.
notebooks: env
	VECPROP_BACKEND=numpy $(BIN)/jupyter nbconvert --to notebook --execute --inplace \
		--ExecutePreprocessor.record_timing=False \
		--Exporter.preprocessors=nbconvert.preprocessors.CoalesceStreamsPreprocessor docs/notebooks/*.ipynb

bench: env
	$(BIN)/python -m pytest benchmarks --benchmark-json=benchmarks/results/latest.json

bench-peers: env
	$(BIN)/python -m pip install --quiet --editable ".[$(EXTRAS),peers]"
	$(BIN)/python -m benchmarks --out benchmarks/results/peers.json --pictures vecprop-bench

bench-estimators: env
	$(BIN)/python -m benchmarks --part estimators --rounds 6 --out benchmarks/results/estimators.json

# The tables and the other libraries stay out of $(VENV). BENCH_TABLES="--tiny --rounds 1" looks whether everything runs.
BENCH_TABLES ?= --rounds 3 --out benchmarks/results/tables.json --pictures vecprop-bench
bench-tables:
	$(PYTHON) -m venv build/tables
	build/tables/bin/python -m pip install --quiet --editable ".[tables]"
	OPENBLAS_NUM_THREADS=1 build/tables/bin/python -m benchmarks --part tables --backend numpy $(BENCH_TABLES)

# As for `gpu`: the machine's Python. PyTorch and optax take part if they are there. BENCH_GPU="--part steps" measures a
# part; BENCH_GPU="--backend numpy --backend jax --tiny" looks on any machine whether everything runs.
BENCH_GPU ?= --limit 500 --out benchmarks/results/gpu.json
bench-gpu:
	PYTHONPATH=$(FROM_SOURCE) $(PYTHON) -m benchmarks --device gpu $(BENCH_GPU)

# The long versions, for an hour or two; docs/reliability.md is written from what they measured.
reliability: env
	rm -f build/reliability.jsonl && mkdir -p build
	$(BIN)/python -m pytest -m "reliability and not gpu" --long --figures build/reliability.jsonl -q
	$(BIN)/python docs/reliability_table.py build/reliability.jsonl

# An environment of its own, so that it audits ours and not itself. It asks PyPI; AUDIT="-s osv" asks osv.dev.
AUDIT ?=
audit: env
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet --upgrade pip-audit
	build/audit/bin/pip-audit $(AUDIT) --skip-editable --path "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

# The table of docs/reliability.md, "Mutation testing", and the survivors; MODULES="propagation nn/dropout" takes some.
# `cr-report --surviving-only --show-diff build/mutants/propagation.sqlite` shows the mutants themselves.
mutants: env
	$(BIN)/python -m pip install --quiet --editable ".[$(EXTRAS),mutants]"
	$(BIN)/python tests/project/mutants.py $(MODULES)

# Those that measure time run alone here, too. CuPy's backend needs a GPU and is left out (pyproject.toml).
coverage: env
	rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -m "not gpu and not alone" -n $(JOBS) --dist worksteal -q --cov --cov-report=
	$(BIN)/python -m pytest -m "alone and not gpu" -q --cov --cov-append --cov-report=
	$(BIN)/coverage report

smoke: env
	$(BIN)/python -m pytest benchmarks -m smoke --benchmark-disable -q

docs: env
	$(BIN)/python -m pip install --quiet --editable ".[$(EXTRAS),docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "open site/index.html"

docs-check: docs
	$(BIN)/python -m pytest docs/check_site.py -n $(JOBS) -q

# No environment of its own: the machine's Python has CuPy and JAX for its CUDA.
# GPU="tests src -n 8" takes eight processes, with pytest-xdist; GPU="tests/backend/test_gpu.py" is a part.
GPU ?= tests src
gpu:
	VECPROP_REQUIRE=cupy,jax-gpu PYTHONPATH=$(FROM_SOURCE) $(PYTHON) -m pytest $(GPU)

# Node 18 or later. The npm package brings the interpreter; NumPy and the rest come from Pyodide's own server.
pyodide: env
	npm install --silent --no-save --prefix build/pyodide "pyodide@$(PYODIDE)"
	$(BIN)/python -m build --wheel --outdir build/pyodide .
	node tests/project/browser/pyodide.mjs build/pyodide/node_modules/pyodide "$(CURDIR)" build/pyodide/vecprop-*.whl

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks site
