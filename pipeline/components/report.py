"""The end of a run where no process of `mtl run` looks after it: its report, and what else its folder has."""

import datetime
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.dsl.components.common.importer import Importer
from tfx.types import Artifact
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from pipeline.conclusion import conclude
from pipeline.plan import Plan
from pipeline.recipe.dump import resolved
from pipeline.runners.kept_steps import keep_steps, kept_steps, step_of

_OF = "_"  # between a step's name, which has none, and its output's


class Executor(BaseExecutor):
    """Reads what every step made, and writes the report as `mtl run` does."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        plan = Plan.from_json(exec_properties["plan"])
        plan.run_dir.mkdir(parents=True, exist_ok=True)
        if not (plan.run_dir / "recipe.yaml").exists():  # whoever submitted the pipeline made no folder
            (plan.run_dir / "recipe.yaml").write_text(resolved(plan.recipe))
        made: dict[str, dict[str, list[Artifact]]] = {}
        for name, artifacts in input_dict.items():
            step, key = name.split(_OF, 1)
            made.setdefault(step, {})[key] = artifacts
        job = Path(made["Push"]["pushed"][0].uri).parents[1]  # a push is never from the cache
        order = exec_properties["steps"].split(",")
        keep_steps(plan.run_dir, [step_of(step, made[step], job) for step in order])
        began = datetime.datetime.fromisoformat(plan.started)
        total = (datetime.datetime.now(datetime.UTC) - began).total_seconds()
        conclude(plan, kept_steps(plan.run_dir), [], None, total, "", exec_properties["fingerprint"])


def report(plan: Plan, steps: Iterable[BaseNode]) -> BaseComponent:
    """The last step of a pipeline: after all others, of which it reads whatever they made.

    Args:
      plan: of the run.
      steps: the others, in order.
    """
    made = {step.id: step.outputs for step in steps if not isinstance(step, Importer) and step.outputs}
    channels = {
        f"{step}{_OF}{key}": channel for step, outputs in made.items() for key, channel in outputs.items()
    }
    told = {"plan": plan.as_json(), "fingerprint": plan.fingerprint(), "steps": ",".join(made)}
    spec = type(
        "ReportSpec",
        (ComponentSpec,),
        {
            "PARAMETERS": {name: ExecutionParameter(type=str) for name in told},
            "INPUTS": {name: ChannelParameter(type=channel.type) for name, channel in channels.items()},
            "OUTPUTS": {},
        },
    )
    kind = type(
        "Report", (BaseComponent,), {"SPEC_CLASS": spec, "EXECUTOR_SPEC": ExecutorClassSpec(Executor)}
    )
    return kind(spec(**channels, **told)).with_id("Report")
