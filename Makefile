# `make demo` and `make test` are the two commands of the README; both install first.

PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
INSTALLED := .venv/installed

.PHONY: demo test lint types clean

# One pip command: torch's range must be resolved together with everything that needs torch.
$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,workflows]'
	touch $(INSTALLED)

# The four commands, on a slice of hg19 chr20 and the ENCODE peaks of 40 markers, in an empty folder.
demo: $(INSTALLED)
	rm -rf demo
	mkdir demo
	cp -r examples/chr20.fa.gz examples/peaks demo
	cd demo && $(BIN)/dilannot build-data chr20.fa.gz peaks/
	cd demo && $(BIN)/dilannot train
	cd demo && $(BIN)/dilannot evaluate --report report.html
	cd demo && $(BIN)/dilannot annotate --region chr20 -o tracks/
	@echo
	@echo "The tracks are in demo/tracks/: a .bw and a .bed for each of 40 markers."
	@echo "In IGV choose genome hg19, load demo/tracks/NHEK_H3K4me3_None.bw and .bed, and the peaks they should"
	@echo "resemble, demo/peaks/E127-H3K4me3.narrowPeak.gz; go to chr20:32,750,001-33,025,000, which is held out."

test: $(INSTALLED)
	$(BIN)/python -m pytest -q

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

clean:
	rm -rf .venv demo
