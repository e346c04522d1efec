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
    encoders = [(f"encoders.{name}.uri", encoder.uri) for name, encoder in recipe.encoders.items()]
    for path, place in [*read_places(recipe), *encoders]:
        kind = scheme(place)
        if _SECRET.search(place):
            yield Problem(
                path,
                "has credentials in it, which have no place in a recipe; they come from the environment "
                "(AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS, an instance's role)",
            )
        elif kind and kind not in FILE_SYSTEMS and not (kind == "file" and (path, place) in encoders):
            yield Problem(
                path,
                f"{kind}:// is not read; write a path below the input folder, s3://bucket/path, "
                "gs://bucket/path or hdfs://path",
                value=place,
            )
        elif kind in ("s3", "gs") and not re.match(r"\w+://[^/*?\[\]]+/[^/]", place):
            yield Problem(path, f"has no bucket or no path; write {kind}://bucket/path", value=place)
        elif kind and any(part in ("", ".", "..") for part in place.split("/")[3:-1]):
            yield Problem(path, "has a part that is empty, . or ..", value=place)
        elif kind == "hdfs" and not all(name in recipe.beam.options for name in _HDFS):
            yield Problem(
                path,
                f"hdfs:// needs beam.options with {', '.join(_HDFS)}: of WebHDFS, such as namenode, 9870",
            )
    for name, value in recipe.beam.options.items():
        if any(
            isinstance(one, str) and _SECRET.search(one)
            for one in (value if isinstance(value, list) else [value])
        ):
            yield Problem(f"beam.options.{name}", "has credentials in it, which have no place in a recipe")
