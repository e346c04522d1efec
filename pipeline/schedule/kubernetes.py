"""Kubernetes: a CronJob with the Dockerfile's image, the recipe in a ConfigMap, the rest on volumes."""

from __future__ import annotations

from typing import Any

import yaml

from pipeline.recipe.schema_file import schema_path
from pipeline.schedule.job import BAD_DATA, BAD_RECIPE, NO_FAILURE, Job


class NotInContainer(ValueError):
    """The command reads what the container does not have."""


_RECIPE, _INPUT, _OUTPUT = "/recipe", "/input", "/output"


def files(job: Job, image: str) -> dict[str, str]:
    """Name → content.

    Args:
      job: what to run; paths on this machine are not those in the container.
      image: what the Dockerfile was built and pushed as.

    Raises:
      NotInContainer: a setting is in a file.
    """
    beside = [setting for setting in job.settings if setting.startswith("@")]
    if beside:
        raise NotInContainer(
            f"--set {beside[0]}: the file is not in the container; write its settings into the recipe"
        )
    name = f"mtl-{job.name.replace('_', '-')}"
    return {
        f"{name}.yaml": "# Written by `mtl schedule kubernetes`; apply with `kubectl apply -f`. Claims for\n"
        f"# the volumes, `{name}-input` and `{name}-output`, are yours to make"
        + (f", and so is the Secret `{name}` with {', '.join(job.secrets)}" if job.secrets else "")
        + ".\n"
        + yaml.safe_dump_all(
            [_config_map(job, name), _cron_job(job, name, image)], sort_keys=False, width=110
        )
    }


def _config_map(job: Job, name: str) -> dict[str, Any]:
    data = {"recipe.yaml": job.file.read_text(encoding="utf-8")}
    schema = schema_path(job.file)
    if schema.is_file():
        data[schema.name] = schema.read_text(encoding="utf-8")
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def _cron_job(job: Job, name: str, image: str) -> dict[str, Any]:
    arguments = job.arguments(f"{_RECIPE}/recipe.yaml", _INPUT, _OUTPUT)
    container: dict[str, Any] = {
        "name": "mtl",
        "image": image,
        # a refused model is no failure of the job: the one before goes on serving
        "command": ["sh", "-c", NO_FAILURE, "mtl"],
        "args": arguments,
        "resources": {"requests": {"cpu": "2", "memory": "8Gi"}, "limits": {"memory": "16Gi"}},
        "volumeMounts": [
            {"name": "recipe", "mountPath": _RECIPE, "readOnly": True},
            {"name": "input", "mountPath": _INPUT, "readOnly": True},
            {"name": "output", "mountPath": _OUTPUT},
        ],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    if job.secrets:
        container["envFrom"] = [{"secretRef": {"name": name}}]
    pod = {
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "fsGroup": 10001},
        "containers": [container],
        "volumes": [
            {"name": "recipe", "configMap": {"name": name}},
            {"name": "input", "persistentVolumeClaim": {"claimName": f"{name}-input", "readOnly": True}},
            {"name": "output", "persistentVolumeClaim": {"claimName": f"{name}-output"}},
        ],
    }
    ends_alike = {"containerName": "mtl", "operator": "In", "values": [BAD_RECIPE, BAD_DATA]}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name},
        "spec": {
            "schedule": job.times.text,
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",  # one run at a time in an output
            # a start that was due in an outage is made late, and what was missed for longer by the next one; in
            # less time than 100 starts of every five minutes, after which Kubernetes may make none at all
            "startingDeadlineSeconds": 8 * 3600,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {
                "spec": {
                    # a run that was killed goes on from what it had finished
                    "backoffLimit": 2,
                    "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": ends_alike}]},
                    "template": {"spec": pod},
                }
            },
        },
    }
