"""Beam, second time over: batches of new content → model inputs → RunInference → the cache.

A batch is one element all the way, so that Beam's cost is paid once a batch.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.ml.inference.base import ModelHandler, RunInference
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from pipeline.content_encoders.cache import VectorCache
from pipeline.content_encoders.errors import BadContent
from pipeline.content_encoders.fetch import content_digest, fetch
from pipeline.content_encoders.images import image_array
from pipeline.content_encoders.located import Located
from pipeline.content_encoders.models import Inputs, Model, load_model
from pipeline.content_encoders.references import holds_paths, open_shard
from pipeline.content_encoders.tokens import Texts
from pipeline.ingest.errors import DataError
from pipeline.moves import Moves

ERROR = "error.txt"
FLUSH_BYTES, FLUSH_SECONDS = 16 << 20, 20.0


@dataclass
class Batch:
    """A batch of contents on its way.

    Attributes:
      digests: of the contents that are in `inputs`, in their order.
      inputs: named arrays `[B, ...]`; later `{"vectors": [B, D]}`.
      failed: digest → why no vector can be made.
    """

    digests: list[bytes]
    inputs: Inputs
    failed: dict[bytes, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.digests) + len(self.failed)


# (shard of references, positions in its flattened contents) of one batch
Work = list[tuple[str, list[int]]]


class Prepare(beam.DoFn):
    """Places of contents → a `Batch` of model inputs. One is made ahead: threads decode pictures while those
    before them are encoded."""

    def __init__(self, located: Located, input_dir: Path):
        self._located, self._input_dir = located, input_dir

    def setup(self) -> None:
        declared = self._located.declared
        self._texts = Texts(declared.text, self._located.folder) if declared.text else None
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1)
        self._open = functools.lru_cache(16)(_contents_of)

    def teardown(self) -> None:
        self._threads.shutdown()

    def start_bundle(self) -> None:
        self._ahead: list[Future[Any]] = []

    def process(self, work: Work) -> Iterator[Batch]:
        places = [(shard, position) for shard, positions in work for position in positions]
        if self._texts is not None:
            contents = [self._content(*place) for place in places]
            yield Batch([content_digest(c) for c in contents], self._texts([_text(c) for c in contents]))
            return
        waiting, self._ahead = self._ahead, [self._threads.submit(self._picture, *place) for place in places]
        if waiting:
            yield _stacked(waiting)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._ahead:
            yield GlobalWindows.windowed_value(_stacked(self._ahead))

    def _content(self, shard: str, position: int) -> bytes:
        contents, paths = self._open(shard)
        found = contents[position].as_py()
        return fetch(_text(found), self._input_dir) if paths else found

    def _picture(self, shard: str, position: int) -> tuple[bytes | None, np.ndarray | None, str | None]:
        try:
            content = self._content(shard, position)
        except BadContent:  # it was there when its digest was taken
            return None, None, None
        try:
            return content_digest(content), image_array(content, self._located.declared.image), None
        except BadContent as error:
            return content_digest(content), None, str(error)


def _text(content: bytes) -> str:
    return content.decode(errors="replace")


def _stacked(pictures: list[Future[Any]]) -> Batch:
    batch, arrays = Batch([], {}), []
    for digest, array, reason in (picture.result() for picture in pictures):
        if array is not None:
            batch.digests.append(digest)
            arrays.append(array)
        elif digest is not None:
            batch.failed[digest] = reason
    if arrays:
        batch.inputs = {"image": np.stack(arrays)}
    return batch


def _contents_of(shard: str) -> tuple[pa.Array, bool]:
    table = open_shard(Path(shard))
    return table["contents"].combine_chunks().flatten(), holds_paths(table)


class EncoderHandler(ModelHandler[Batch, Batch, Model]):
    """Beam's handler for ONNX, SavedModel and Keras 3 encoders: batches come ready made.

    Args:
      located: the encoder.
      work_dir: gets the sentence where the data or the encoder are at fault: Beam would wrap the error.
    """

    def __init__(self, located: Located, work_dir: Path):
        super().__init__()
        self._located, self._work_dir = located, work_dir

    def load_model(self) -> Model:
        return _Held(self._told(load_model, self._located.model, self._located.declared))

    def should_skip_batching(self) -> bool:
        return True

    def get_num_bytes(self, batch: Batch) -> int:
        return sum(array.nbytes for array in batch.inputs.values())

    def get_metrics_namespace(self) -> str:
        return "content_encoders"

    def run_inference(
        self, batch: Batch, model: Model, inference_args: dict[str, Any] | None = None
    ) -> Iterable[Batch]:
        vectors = np.empty((0, self._located.declared.dimension), np.float32)
        if batch.digests:
            vectors = self._told(encode_batch, model, batch.inputs, self._located)
        return [Batch(batch.digests, {"vectors": vectors}, batch.failed)]

    def _told(self, work, *args):
        try:
            return work(*args)
        except DataError as error:
            (self._work_dir / ERROR).write_text(str(error))
            raise


class _Held:
    """A model that Beam can refer to weakly, which it cannot a function's closure in every Python."""

    def __init__(self, model: Model):
        self._model = model

    def __call__(self, inputs: Inputs) -> np.ndarray:
        return self._model(inputs)


def encode_batch(model: Model, inputs: Inputs, located: Located) -> np.ndarray:
    """Model inputs `[B, ...]` → float32 vectors `[B, dimension]`, pooled and brought to length 1 as declared.

    Raises:
      DataError: the model's output is of another form.
    """
    declared = located.declared
    found = np.asarray(model(inputs), np.float32)
    if declared.pooling == "first" and found.ndim == 3:
        found = found[:, 0]
    elif declared.pooling == "mean" and found.ndim == 3:
        weight = inputs["attention_mask"].astype(np.float32)
        found = np.einsum("btd,bt->bd", found, weight) / np.maximum(weight.sum(1, keepdims=True), 1.0)
    rows = len(next(iter(inputs.values())))
    if found.shape != (rows, declared.dimension):
        raise DataError(
            f"encoders.{located.name}: {located.model} gives {list(found.shape)} for {rows} items, and "
            f"vectors of {declared.dimension} were declared"
            + ("; `pooling:` makes one of one a token" if found.ndim == 3 else "")
        )
    if declared.normalize:
        found = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    return found


class Keep(beam.DoFn):
    """Encoded batches → the cache, in shards of some megabytes, and at least every 20 s."""

    def __init__(self, cache: VectorCache, moves_dir: Path):
        self._cache, self._moves_dir = cache, moves_dir

    def setup(self) -> None:
        self._moves = Moves(self._moves_dir)

    def start_bundle(self) -> None:
        self._clear()

    def process(self, batch: Batch) -> None:
        vectors = batch.inputs["vectors"]
        finite = np.isfinite(vectors).all(1)
        self._digests += batch.digests + list(batch.failed)
        self._reasons += [None if good else "the encoder gave numbers that are not finite" for good in finite]
        self._reasons += batch.failed.values()
        self._vectors += [vectors, np.zeros((len(batch.failed), vectors.shape[1]), np.float32)]
        self._moves.add(len(batch))
        held = len(self._digests) * (vectors.shape[1] * 4 + 256)  # a digest and a reason are Python objects
        if held >= FLUSH_BYTES or time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._flush()

    def finish_bundle(self) -> None:
        self._flush()

    def _flush(self) -> None:
        if self._digests:
            self._cache.write(self._digests, np.concatenate(self._vectors), self._reasons)
        self._clear()

    def _clear(self) -> None:
        self._digests: list[bytes] = []
        self._reasons: list[str | None] = []
        self._vectors: list[np.ndarray] = []
        self._flushed = time.monotonic()


def add_encoding(
    pipeline: beam.Pipeline,
    work: Sequence[Work],
    located: Located,
    input_dir: Path,
    cache: VectorCache,
    work_dir: Path,
    moves_dir: Path,
) -> None:
    """Adds the steps that encode `work` and keep the vectors."""
    (
        pipeline
        | "Batches" >> beam.Create(work)
        | "Spread" >> beam.Reshuffle()
        | "Prepare" >> beam.ParDo(Prepare(located, input_dir))
        | "Encode" >> RunInference(EncoderHandler(located, work_dir))
        | "Keep" >> beam.ParDo(Keep(cache, moves_dir))
    )
