"""Where Beam's steps run."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from pipeline.recipe.parts import Part


def _address(value: str) -> str:
    if not re.fullmatch(r"[\w.\-]+:\d{1,5}|\[[\da-fA-F:]+\]:\d{1,5}", value):
        raise ValueError(
            "is no address; write host:port, without http:// and without anything behind the port"
        )
    return value


def _bucket(value: str) -> str:
    if not re.fullmatch(r"gs://[^/]+/.+", value):
        raise ValueError("is no folder of Google Cloud Storage; write gs://bucket/folder")
    return value


Address = Annotated[str, AfterValidator(_address)]


class Beam(Part):
    """Where the steps of a run that are Beam's run: encoding, ingestion, statistics, Transform, the sums of
    evaluation, and batch scoring. With every runner but `local`, the input folder and the output folder must
    be at the same paths on all workers."""

    runner: Literal["local", "portable", "flink", "spark", "dataflow"] = Field(
        "local", description="`portable` is any job service of Beam's that is running already"
    )
    mode: Literal["in_memory", "multi_processing"] = Field(
        "in_memory", description="of `local`: in this process, or in `workers` others"
    )
    workers: int = Field(
        1,
        ge=1,
        description="how many work at once: processes of `local` and of Beam's own job service, the "
        "parallelism of `flink`, the most that `dataflow` may start; Spark's are its cluster's own setting",
    )
    job_endpoint: Address | None = Field(
        None, description="of `portable`, `flink` and `spark`: host:port of a job service that is running"
    )
    master: str | None = Field(
        None,
        min_length=1,
        description="of `flink` and `spark` without a `job_endpoint`: the cluster (`host:port`; "
        "`spark://host:port`), for which Beam starts a job service here; it needs Java and Beam's jar for it",
    )
    worker_pool: Address | None = Field(
        None,
        description="of `portable`, `flink` and `spark`: host:port of Beam's worker pool beside each worker, "
        "which starts Python workers from this project's installation there",
    )
    sdk_image: str | None = Field(
        None,
        min_length=1,
        description="the image that Python workers run from, built from the Dockerfile; of `portable`, "
        "`flink` and `spark` instead of a `worker_pool`, and of `dataflow`",
    )
    project: str | None = Field(None, min_length=1, description="of `dataflow`")
    region: str | None = Field(None, min_length=1, description="of `dataflow`, such as `europe-west4`")
    temp_location: Annotated[str, AfterValidator(_bucket)] | None = Field(
        None, description="of `dataflow`: gs://bucket/folder for its own files"
    )
    options: dict[str, Any] = Field(
        {},
        description="further options of Beam's by their names, such as `flink_version: '1.19'`; no "
        "credentials, which come from the environment",
    )

    def arguments(self) -> list[str]:
        """Options of Beam's, as on a command line."""
        return [
            *getattr(self, f"_{self.runner}")(),
            *(argument for name, value in self.options.items() for argument in _flags(name, value)),
        ]

    def _local(self) -> list[str]:
        return [
            "--runner=DirectRunner",
            f"--direct_running_mode={self.mode}",
            f"--direct_num_workers={self.workers}",
            *_INSTALLED,
        ]

    def _portable(self) -> list[str]:
        return [
            "--runner=PortableRunner",
            f"--job_endpoint={self.job_endpoint}",
            f"--direct_num_workers={self.workers}",
            *self._environment(),
        ]

    def _flink(self) -> list[str]:
        return [
            "--runner=FlinkRunner",
            f"--job_endpoint={self.job_endpoint}" if self.job_endpoint else f"--flink_master={self.master}",
            f"--parallelism={self.workers}",
            *self._environment(),
        ]

    def _spark(self) -> list[str]:
        return [
            "--runner=SparkRunner",
            f"--job_endpoint={self.job_endpoint}"
            if self.job_endpoint
            else f"--spark_master_url={self.master}",
            *self._environment(),
        ]

    def _dataflow(self) -> list[str]:
        return [
            "--runner=DataflowRunner",
            f"--project={self.project}",
            f"--region={self.region}",
            f"--temp_location={self.temp_location}",
            f"--max_num_workers={self.workers}",
            f"--sdk_container_image={self.sdk_image}",
            "--experiments=use_runner_v2",
        ]

    def _environment(self) -> list[str]:
        """Of workers of a job service. Beam's time limit, a minute, is not only for answers to calls: where a
        service tells a job's states before it runs, as Beam's own does, a longer job would fail."""
        waits = f"--job_server_timeout={_LONGEST_JOB}"
        if self.worker_pool:
            return [
                waits,
                "--environment_type=EXTERNAL",
                f"--environment_config={self.worker_pool}",
                *_INSTALLED,
            ]
        return [
            waits,
            "--environment_type=DOCKER",
            f"--environment_config={self.sdk_image}",
            f"--sdk_container_image={self.sdk_image}",
        ]


_LONGEST_JOB = 24 * 3600  # seconds
# Workers run from an installation that is there; without this TFX packs itself up for them, 2 s a step.
_INSTALLED = ("--sdk_container_image=none",)


def _flags(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}"] if value else []
    return [f"--{name}={one}" for one in (value if isinstance(value, list) else [value])]
