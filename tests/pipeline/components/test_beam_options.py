"""Which steps of a run Beam has, and that each goes where the recipe says."""

import yaml
from apache_beam.options.pipeline_options import FlinkRunnerOptions, PipelineOptions, PortableOptions
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec

from pipeline.pipeline import create_pipeline
from pipeline.plan import make_plan
from pipeline.recipe import load

RECIPE = {
    "version": 1,
    "name": "shop",
    "sources": {
        "log": {"files": "log.csv", "columns": {"user": "int", "clicked": {"type": "int", "known": "after"}}}
    },
    "roles": {"user": "user"},
    "features": {"user": {"kind": "categorical"}},
    "tasks": {"click": {"kind": "binary", "label": "clicked"}},
    "splits": {"by": "hash", "of": "row", "validation": 0.2, "test": 0.2},
    "model": {"architecture": {"name": "hard_sharing"}},
    "weighting": {"name": "equal"},
    "gates": "none",
    "beam": {"runner": "flink", "master": "flink:8081", "worker_pool": "localhost:50000", "workers": 8},
}


def test_every_step_that_is_beam_s_gets_the_recipe_s_options(tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    (tmp_path / "log.csv").write_text("user,clicked\n1,0\n")
    recipe = load(tmp_path / "recipe.yaml")
    plan = make_plan(recipe, tmp_path / "recipe.yaml", tmp_path, tmp_path / "output", "run")
    given = {
        step.id: step.executor_spec.beam_pipeline_args
        for step in create_pipeline(plan).components
        if isinstance(step.executor_spec, BeamExecutorSpec)
    }
    assert given.keys() == {"Ingest", "StatisticsGen", "Transform", "Evaluate"}
    for arguments in given.values():
        flink = PipelineOptions(arguments).view_as(FlinkRunnerOptions)
        assert (flink.flink_master, flink.parallelism) == ("flink:8081", 8)
        assert flink.view_as(PortableOptions).environment_config == "localhost:50000"
