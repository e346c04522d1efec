"""`mtl predict`: rows of a file through a pushed model's `serving_default`."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from serving.private import VARIABLE, Hasher, NoKey, private_inputs
from serving.versions import saved_model

BATCH_ROWS = 8192
REQUEST_ROWS, REQUEST_SECONDS = 1000, 60.0
_ENDINGS = (".jsonl", ".ndjson", ".csv", ".parquet")


_IDS = {"int": pa.int64(), "string": pa.string()}
_IDS |= {f"list[{name}]": pa.list_(kind) for name, kind in _IDS.items()}


class PredictError(ValueError):
    """A file or model that cannot be used; the message says why and what would do."""


def predict(model: Path, source: Path, target: str, private: bool = False) -> int:
    """Writes the source's predictions, one row a row, and returns how many.

    Args:
      model: a SavedModel, or the folder of versions (its current one is used).
      source: .jsonl, .csv or .parquet, columns named as the model's inputs; those left out take the
        defaults in the model, others are not read.
      target: a .jsonl, .csv or .parquet file, or "-" for JSON Lines on standard output.
      private: the source has private inputs as they are, and they are hashed here (see `serving.private`).

    Raises:
      PredictError: nothing there is a model, the file's columns do not fit it, or there is no key, or another
        than the model's, to hash with.
    """
    try:
        folder = saved_model(model)
    except ValueError as error:
        raise PredictError(str(error)) from None
    if target != "-" and not target.endswith(_ENDINGS):
        raise PredictError(f"{target}: the ending must be .jsonl, .csv or .parquet, or - for standard output")
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    signature = loaded.signatures["serving_default"]
    specs = signature.structured_input_signature[1]
    table = _read(
        source,
        {n for n, s in specs.items() if s.dtype == tf.string},
        {n for n, s in specs.items() if s.shape.rank == 2},
    )
    if not table.num_rows:
        raise PredictError(f"{source} has no rows")
    if private:
        table = _hashed(table, folder)
    known = [n for n in table.column_names if n in specs]
    if not known:
        raise PredictError(
            f"{source} has none of the model's inputs ({', '.join(sorted(specs))}); "
            f"its columns are {', '.join(table.column_names)}"
        )
    answers: list[dict[str, np.ndarray]] = []
    hidden = private_inputs(folder)
    for start in range(0, table.num_rows, BATCH_ROWS):
        part = table.slice(start, BATCH_ROWS)
        inputs = {
            n: _tensor(
                tf, n, specs[n], part.column(n) if n in known else None, part.num_rows, start, n in hidden
            )
            for n in specs
        }
        try:
            answers.append({n: v.numpy() for n, v in signature(**inputs).items()})
        except tf.errors.InvalidArgumentError as error:
            raise PredictError(
                f"{source}: the model refused rows {start + 1} to {start + part.num_rows}: "
                f"{error.message.splitlines()[0]}"
            ) from None
    names = sorted(answers[0]) if answers else []
    _write(_table({n: np.concatenate([a[n] for a in answers]) for n in names}, target), target)
    return table.num_rows


def _hashed(table: pa.Table, folder: Path) -> pa.Table:
    card = json.loads((folder / "assets.extra" / "model_card.json").read_text(encoding="utf-8"))
    kinds = private_inputs(folder)
    if not kinds:
        raise PredictError(f"{folder} has no private inputs: leave --private out")
    try:
        hasher = Hasher.from_environment()
    except NoKey as error:
        raise PredictError(str(error)) from None
    if hasher.key_id != card["private_key_id"]:
        raise PredictError(
            f"the key in {VARIABLE} (id {hasher.key_id}) is not the one that the ids in {folder} were hashed "
            f"with (id {card['private_key_id']}): none of them would be known"
        )
    for place, name in enumerate(table.column_names):
        if name in kinds:
            try:
                column = table.column(place).combine_chunks().cast(_IDS[kinds[name]])
            except pa.ArrowInvalid:  # its message has the value
                raise PredictError(f"{name} is private and of type {kinds[name]}, which it has not") from None
            table = table.set_column(place, name, hasher.column(column))
    return table


def predict_on(server: str, model: str, source: Path, target: str) -> int:
    """The same by a model on a server: TensorFlow Serving or `mtl serve`, REST or gRPC.

    Args:
      server: its address, see `serving.client.Client`.
      model: its name there.
      source, target: as of `predict`.

    Raises:
      PredictError: the file's columns do not fit the model.
      ServerError: the server gave no answer.
    """
    from serving.client import BadFeatures, Client

    if target != "-" and not target.endswith(_ENDINGS):
        raise PredictError(f"{target}: the ending must be .jsonl, .csv or .parquet, or - for standard output")
    answers: list[dict[str, np.ndarray]] = []
    with Client(server, model) as client:
        inputs = client.signature().inputs
        table = _read(
            source,
            {n for n, t in inputs.items() if t.type == object},
            {n for n, t in inputs.items() if len(t.shape or ()) == 2},
        )
        known = [n for n in table.column_names if n in inputs]
        if not known or not table.num_rows:
            raise PredictError(
                f"{source} has no rows with any of the model's inputs ({', '.join(sorted(inputs))})"
            )
        for start in range(0, table.num_rows, REQUEST_ROWS):
            rows = table.select(known).slice(start, REQUEST_ROWS).to_pylist()
            try:
                answers.append(client.predict(rows, timeout=REQUEST_SECONDS).outputs)
            except BadFeatures as error:
                raise PredictError(f"{source}: rows {start + 1} to {start + len(rows)}: {error}") from None
    found = {n: np.concatenate([a[n] for a in answers]) for n in sorted(answers[0])}
    _write(_table(found, target), target)
    return table.num_rows


def _read(source: Path, texts: set[str], lists: set[str]) -> pa.Table:
    """`texts` and `lists` name the model's inputs of those forms: a CSV does not say what its columns are."""
    table = _read_any(source, texts, lists)
    if twice := sorted({n for n in table.column_names if table.column_names.count(n) > 1}):
        raise PredictError(f"{source} has more than one column named {', '.join(twice)}")
    return table


def _read_any(source: Path, texts: set[str], lists: set[str]) -> pa.Table:
    try:
        match source.suffix:
            case ".parquet":
                return pq.read_table(source)
            case ".csv":
                source.read_text(
                    encoding="utf-8"
                )  # Arrow would take other encodings for texts that it does not know
                # an id such as 007 is a text where the model takes texts
                options = pyarrow.csv.ConvertOptions(column_types={n: pa.string() for n in texts})
                table = pyarrow.csv.read_csv(source, convert_options=options)
                if found := sorted(lists & set(table.column_names)):
                    raise PredictError(
                        f"{source}: {', '.join(found)} is a list; rows with lists go in .jsonl or .parquet"
                    )
                return table
            case ".jsonl" | ".ndjson" | ".json":
                return _json_table(source)
    except UnicodeDecodeError:
        raise PredictError(f"{source} cannot be read as {source.suffix[1:]}: it is not UTF-8 text") from None
    except (pa.ArrowException, TypeError, KeyError) as error:
        raise PredictError(f"{source} cannot be read as {source.suffix[1:]}: {error}") from None
    raise PredictError(f"{source}: the ending must be .jsonl, .csv or .parquet")


def _json_table(source: Path) -> pa.Table:
    rows: list[dict[str, Any]] = []
    # splitlines would split inside texts
    for number, line in enumerate(source.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise PredictError(
                f"{source}, line {number}: is not JSON: {error.msg} at column {error.colno}"
            ) from None
        except (ValueError, RecursionError) as error:  # a number of thousands of digits; nested without end
            raise PredictError(f"{source}, line {number}: cannot be read: {error}") from None
        if not isinstance(row, dict):
            raise PredictError(f'{source}, line {number}: is not a JSON object, `{{"input": value, ...}}`')
        rows.append(row)
    columns = {}
    for name in {name: None for row in rows for name in row}:
        values = [row.get(name) for row in rows]
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowException, TypeError, OverflowError):
            raise PredictError(
                f"{source}: {name} has values of different types, or a whole number beyond 64 bits"
            ) from None
    return pa.table(columns)


def _tensor(
    tf: Any, name: str, spec: Any, column: pa.ChunkedArray | None, rows: int, before: int, hidden: bool
) -> Any:
    """An input's tensor; `before` is how many rows of the file came before these, and no error has a value
    where it is `hidden`."""
    from serving.inputs import MISSING

    missing = MISSING[spec.dtype]
    if column is None:
        return tf.fill([rows] + [1] * (spec.shape.rank - 1), tf.constant(missing, spec.dtype))
    values = column.to_pylist()
    try:
        row = 0
        if spec.shape.rank == 2:
            for row, value in enumerate(values):
                if value is not None and not isinstance(value, list):
                    raise ValueError(f"{value!r} is not a list; a row has a list of values there")
            lists = [v or [] for v in values]
            width = max(1, *(len(v) for v in lists))
            for row, value in enumerate(lists):
                found = [_value(v, spec.dtype, missing) for v in value]
                values[row] = found + [missing] * (width - len(value))
        else:
            for row, value in enumerate(values):
                values[row] = _value(value, spec.dtype, missing)
        return tf.constant(values, spec.dtype)
    except (TypeError, ValueError, OverflowError) as error:
        why = "a private value is something else" if hidden else error
        raise PredictError(
            f"column {name} does not fit the model's {spec.dtype.name}: {why} (row {before + row + 1})"
        ) from None


def _value(value: Any, dtype: Any, missing: Any) -> Any:
    if value is None:
        return missing
    if dtype.name == "string":
        if not isinstance(value, (str, bytes)):
            raise ValueError(
                f"{value!r} is not a text; an id that the model takes as a text is written in quotes"
            )
        return value if isinstance(value, bytes) else value.encode()
    # a CSV with one word among its numbers has texts alone
    try:
        number = int(value) if dtype.is_integer else float(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or (dtype.is_integer and not isinstance(value, str) and number != value):
        raise ValueError(f"{value!r} is not a {'whole ' if dtype.is_integer else ''}number")
    # 1e400 is read as infinite, NaN is a missing one
    if not dtype.is_integer and abs(number) > float(dtype.max):
        raise ValueError(f"{value!r} is beyond the numbers of {dtype.name}; leave out what is not known")
    return number


def _table(columns: dict[str, np.ndarray], target: str) -> pa.Table:
    """One column an output; probabilities of classes are a list in each row, in a CSV a column a class."""
    found: dict[str, Any] = {}
    for name, values in columns.items():
        if values.ndim == 1:
            found[name] = values
        elif target.endswith(".csv"):
            found |= {f"{name}.{k}": values[:, k] for k in range(values.shape[1])}
        else:
            found[name] = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
    return pa.table(found)


def _write(table: pa.Table, target: str) -> None:
    if target == "-" or target.endswith((".jsonl", ".ndjson")):
        text = "".join(json.dumps(row) + "\n" for row in table.to_pylist())
        if target == "-":
            sys.stdout.write(text)
        else:
            Path(target).write_text(text, encoding="utf-8")
    elif target.endswith(".csv"):
        pyarrow.csv.write_csv(table, target)
    else:
        pq.write_table(table, target)
