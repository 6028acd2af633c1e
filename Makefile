# Every target makes .venv and installs what it needs, with nothing but Python >= 3.10 on the machine.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: demo test lint docs bench gpu clean

demo: $(VENV)/.installed
	$(BIN)/gansmith train r3gan --data mnist10k --minutes 3 --out runs/demo-$$(date +%s)
	@latest=$$(ls -td runs/demo-* | head -1); \
	$(BIN)/gansmith sample $$latest --n 100 --out $$latest/digits.png && \
	echo "New digits: $$latest/digits.png" && \
	$(BIN)/python -m gansmith.commands._open $$latest/digits.png

# One worker more than there are cores: browsers and killed processes are waited for, and the cores are free meanwhile.
test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest --dist worksteal -n $$($(BIN)/python -c "import os; print((os.cpu_count() or 1) + 1)")

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/ruff format --check src tests benchmarks examples
	$(BIN)/pyright

docs: $(VENV)/.installed-docs
	$(BIN)/python docs/build.py
	$(BIN)/mkdocs build --strict

bench: $(VENV)/.installed-bench
	$(BIN)/python benchmarks/speed.py

gpu: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/gpu.py

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "gansmith needs Python >= 3.10")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --disable-pip-version-check -q -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --disable-pip-version-check -q -e '.[dev,studio,export,shards,track,features,realesrgan,upscalers]'
	touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --disable-pip-version-check -q -e '.[docs]'
	touch $@

$(VENV)/.installed-bench: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --disable-pip-version-check -q -e '.[bench]'
	touch $@

clean:
	rm -rf $(VENV) build dist site .pytest_cache .ruff_cache
