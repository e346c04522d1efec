"""URIs: of a file system that is read, and without credentials."""

import re
from collections.abc import Iterator

from pipeline.recipe.errors import Problem
from pipeline.recipe.model import Recipe
from pipeline.recipe.remote import FILE_SYSTEMS, read_places, scheme

# user:password@, an AWS key's id, or a signed URL's query
_SECRET = re.compile(
    r"://[^/@]*@|\b(AKIA|ASIA)[0-9A-Z]{16}\b|[?&;](sig|signature|token|password|x-(amz|goog)-[a-z]+)=", re.I
)
_HDFS = ("hdfs_host", "hdfs_port", "hdfs_user")


def remote_problems(recipe: Recipe) -> Iterator[Problem]:
    for path, place in read_places(recipe):
        if scheme(place) or _SECRET.search(place):
            yield from _problems(recipe, path, place)
    for name, encoder in recipe.encoders.items():
        if scheme(encoder.uri) not in ("", "file") or _SECRET.search(encoder.uri):
            yield from _problems(recipe, f"encoders.{name}.uri", encoder.uri)
    if recipe.serving.publish is not None:
        yield from _problems(recipe, "serving.publish", recipe.serving.publish)
    if recipe.pipeline_root is not None:
        yield from _of_root(recipe.pipeline_root)
    for name, value in recipe.beam.options.items():
        if any(
            isinstance(one, str) and _SECRET.search(one)
            for one in (value if isinstance(value, list) else [value])
        ):
            yield Problem(f"beam.options.{name}", "has credentials in it, which have no place in a recipe")


def _problems(recipe: Recipe, path: str, place: str) -> Iterator[Problem]:
    if said := fault(place):
        yield Problem(path, said, value=None if _SECRET.search(place) else place)
    elif scheme(place) == "hdfs" and not all(name in recipe.beam.options for name in _HDFS):
        yield Problem(
            path, f"hdfs:// needs beam.options with {', '.join(_HDFS)}: of WebHDFS, such as namenode, 9870"
        )


def _of_root(place: str) -> Iterator[Problem]:
    said = fault(place)
    if not _SECRET.search(place) and scheme(place) != "gs":
        said = (
            "is no folder of Google Cloud Storage; write gs://bucket/folder, or leave it out: what steps make "
            "is then in the folder that --output names"
        )
    if said:
        yield Problem("pipeline_root", said, value=None if _SECRET.search(place) else place)


def fault(place: str) -> str:
    """What is wrong with a URI, in words without it; empty where nothing is."""
    kind = scheme(place)
    if _SECRET.search(place):
        return (
            "has credentials in it, which have no place in a recipe; they come from the environment "
            "(AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS, an instance's role)"
        )
    if kind not in FILE_SYSTEMS:
        return (
            f"{kind or place}{'://' if kind else ''} is no place on s3, gs or hdfs; write a path below the input "
            "folder for what is read here, else s3://bucket/path, gs://bucket/path or hdfs://path"
        )
    if kind in ("s3", "gs") and not re.match(r"\w+://[^/*?\[\]]+/[^/]", place):
        return f"has no bucket or no path; write {kind}://bucket/path"
    if any(part in ("", ".", "..") for part in place.rstrip("/").split("/")[3:]):
        return "has a part that is empty, . or .."
    return ""
