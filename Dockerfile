# The pipeline and the command `mtl`, with the packages of requirements.lock, and what reads s3 (30 MB).
#   docker build -t mtl-recommender:0.1.0 .
#   docker run --rm -v $PWD/demo-data:/input:ro -v $PWD/output:/output mtl-recommender:0.1.0 \
#     run data/demo/recipe.yaml --input /input --output /output
# With --target worker: the same with the harness that Flink, Spark and Dataflow start Python workers by (`beam.sdk_image`).
FROM python:3.11-slim-bookworm AS installed

ENV PYTHONUNBUFFERED=1 TF_CPP_MIN_LOG_LEVEL=1
WORKDIR /app

# first what changes rarely; without resolving anything anew
COPY .ci/uv.lock .ci/uv.lock
COPY requirements.lock requirements-aws.lock ./
RUN python -m venv /opt/venv \
    && /opt/venv/bin/python -m pip install --no-cache-dir --require-hashes -r .ci/uv.lock \
    && /opt/venv/bin/uv pip install --no-cache --python /opt/venv/bin/python --no-deps --require-hashes \
        -r requirements.lock -r requirements-aws.lock
ENV PATH=/opt/venv/bin:$PATH

# beside the lock, which the cache of steps is keyed by; editable, as `make setup` has it
COPY setup.py pyproject.toml README.md LICENSE ./
COPY pipeline pipeline
COPY mtl_models mtl_models
COPY serving serving
COPY data data
RUN uv pip install --no-cache --python /opt/venv/bin/python --no-deps --editable . \
    && python -m compileall -q pipeline mtl_models serving \
    && useradd --uid 10001 --create-home mtl
USER mtl

FROM installed AS worker
# of the version in requirements.lock
COPY --from=apache/beam_python3.11_sdk:2.77.0 /opt/apache/beam /opt/apache/beam
ENV RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
ENTRYPOINT ["/opt/apache/beam/boot"]

FROM installed
ENTRYPOINT ["mtl"]
CMD ["--help"]
