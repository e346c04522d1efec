"""Airflow 3: a DAG of one task that runs the recipe in a process with the packages of this installation."""

from __future__ import annotations

from pipeline.schedule.job import BAD_DATA, BAD_RECIPE, REFUSED, Job

_SPAN = "\0"


def _span(job: Job) -> str:
    """The lines that say which span is over at the time that a run is for."""
    spans = job.recipe.spans
    if spans is None:
        return ""
    form = "YYYY-MM-DD" if spans.by == "day" else "YYYY-MM-DD[T]HH"
    return f"""        # the newest {spans.by} that was over, {spans.utc_offset_hours:+g} h from UTC
        moment = pendulum.instance(logical_date or pendulum.now("UTC")).in_timezone("UTC")
        moment = moment.add(hours={spans.utc_offset_hours!r})
        span = moment.subtract({spans.by}s=1).format({form!r})
"""


def files(job: Job) -> dict[str, str]:
    """Name → content, of files for Airflow's folder of DAGs."""
    command = [job.python, "-m", "pipeline", *job.arguments(span=_SPAN)]
    # the span is known when the task runs: a retry, or a run for an earlier date, has its own
    shown = "".join(f"        {'span' if part == _SPAN else repr(part)},\n" for part in command)
    secrets = f"\n# The worker's environment must have {', '.join(job.secrets)}.\n" if job.secrets else ""
    return {
        f"mtl_{job.name}.py": f'''"""Written by `mtl schedule airflow`: runs {job.name} in its own process.

Airflow and the pipeline need other packages, so nothing of the pipeline is imported here.
"""

import subprocess

import pendulum
from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
{secrets}

@dag(
    dag_id={f"mtl_{job.name}"!r},
    schedule={job.times.text!r},
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,  # one run at a time in an output
    tags=["mtl"],
)
def mtl():
    # a run that was killed goes on from what it had finished
    @task(task_id="run", retries=2, retry_delay=pendulum.duration(minutes=10))
    def run({"logical_date=None" if job.recipe.spans else ""}):
{_span(job)}        command = [
{shown.replace("        ", "            ")}        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in process.stdout:
            print(line, end="")
        code = process.wait()
        if code == {REFUSED}:
            raise AirflowSkipException("a gate refused the new model; the one before goes on serving")
        if code in ({BAD_RECIPE}, {BAD_DATA}):  # again, it would end alike
            raise AirflowFailException(f"exit code {{code}}: the recipe is wrong, or the data cannot be used")
        if code:
            raise RuntimeError(f"exit code {{code}}")

    run()


mtl()
'''
    }
