"""The layout: what stands in every slot of the packed inputs. Plain data, no Keras."""

import dataclasses
from collections.abc import Mapping, Sequence

PACKED_KEYS = ("ids", "numbers")
SIDE_INPUTS = ("request", "duration")
VECTOR_PREFIX = "vector_"


@dataclasses.dataclass(frozen=True)
class CategoricalSlots:
    """Where one categorical feature lives.

    Args:
        name: the feature.
        first_row: its first row in the embedding table.
        rows: how many rows it has, those for unknown values included.
        first_slot: its first column in `ids`.
        length: how many columns it has: 1, or the longest list of a multi-valued feature.
        unknown_row: which of its rows, counted from 0, stands for unknown values; None: it has none.
        missing_row: which of its rows stands for a missing value; None: it has none.

    Example:

    >>> CategoricalSlots("item", first_row=100, rows=50, first_slot=1).length
    1
    """

    name: str
    first_row: int
    rows: int
    first_slot: int
    length: int = 1
    unknown_row: int | None = None
    missing_row: int | None = None


@dataclasses.dataclass(frozen=True)
class VectorInput:
    """A precomputed vector: a feature `name` of `dim` floats, packed under `vector_<name>`.

    Args:
        name: the feature.
        dim: numbers in it.
        rows: 0 where the vector itself is packed. Otherwise the model holds this many vectors, and the number
            of one is packed; 0 is for no vector.

    Example:

    >>> VectorInput("title", 384).key
    'vector_title'
    """

    name: str
    dim: int
    rows: int = 0

    @property
    def key(self) -> str:
        return VECTOR_PREFIX + self.name


@dataclasses.dataclass(frozen=True)
class Layout:
    """Names every slot of the packed inputs.

    Packed inputs are a dict of `ids` int64 [B, id_slots] (global rows of the one embedding table, -1
    where there is no value), `numbers` float32 [B, len(numbers)] and, for each vector,
    `vector_<name>` float32 [B, dim], all NaN in a row that has none; of vectors that the model holds
    `vector_<name>` int64 [B], their numbers, 0 in a row that has none. A part without features is absent.
    Features may share table rows, as an item and a history of items do: all of them, or none.

    Args:
        categorical: the categorical features, with their table rows and `ids` columns.
        numbers: the numeric features in the order of their columns.
        vectors: the precomputed vectors.
        side: what some losses and predictions need of a row beside its features, packed where it is given:
            `request` int64 [B] (rows of one request have the same number), `duration` float32 [B].

    Raises:
        ValueError: if names are one text and no list, two features share a name, ids columns or some of
            their table rows, a name is taken by a packed input, or a side input is unknown.

    Example:

    >>> from mtl_models import Layout
    >>> layout = Layout.of({"user": 1000, "item": 500, "last_items": ("item", 20)}, ["age"])
    >>> layout.table_rows, layout.id_slots
    (1500, 22)
    """

    categorical: tuple[CategoricalSlots, ...] = ()
    numbers: tuple[str, ...] = ()
    vectors: tuple[VectorInput, ...] = ()
    side: tuple[str, ...] = ()

    def __post_init__(self):
        for field in ("categorical", "numbers", "vectors", "side"):
            if isinstance(getattr(self, field), str):
                raise ValueError(f"layout: {field} must be a list of names; it is '{getattr(self, field)}'")
            object.__setattr__(self, field, tuple(getattr(self, field)))
        names = self.feature_names
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"layout: feature names must be unique; repeated: {', '.join(repeated)}")
        taken = [n for n in names if n in PACKED_KEYS or n.startswith(VECTOR_PREFIX)]
        if taken:
            raise ValueError(f"layout: '{taken[0]}' names a packed input and cannot name a feature")
        if not names:
            raise ValueError("layout: there must be at least one feature")
        for feature in self.categorical:
            if feature.rows < 1 or feature.length < 1 or feature.first_row < 0:
                raise ValueError(
                    f"layout: feature '{feature.name}' needs rows >= 1, length >= 1 and "
                    f"first_row >= 0; it has {feature}"
                )
            for name, row in (("unknown_row", feature.unknown_row), ("missing_row", feature.missing_row)):
                if row is not None and not 0 <= row < feature.rows:
                    raise ValueError(
                        f"layout: feature '{feature.name}': {name} {row} is not one of its "
                        f"{feature.rows} rows"
                    )
        unknown = [name for name in self.side if name not in SIDE_INPUTS]
        if unknown or len(set(self.side)) < len(self.side):
            raise ValueError(
                f"layout: side inputs are {', '.join(SIDE_INPUTS)}, each once at most; it has {self.side}"
            )
        owners = {}
        for feature in self.categorical:
            owner = owners.setdefault((feature.first_row, feature.rows), feature)
            if (owner.unknown_row, owner.missing_row) != (feature.unknown_row, feature.missing_row):
                raise ValueError(
                    f"layout: features '{owner.name}' and '{feature.name}' share table rows and must agree "
                    "on which are for unknown and for missing values"
                )
        for vector in self.vectors:
            if vector.dim < 1 or vector.rows < 0:
                raise ValueError(
                    f"layout: vector '{vector.name}' needs dim >= 1 and rows >= 0; it has {vector}"
                )
        _refuse_overlap([(f.first_row, f.rows, f.name) for f in owners.values()], "some of their table rows")
        _refuse_overlap([(f.first_slot, f.length, f.name) for f in self.categorical], "ids columns")

    @classmethod
    def of(
        cls,
        categorical: Mapping[str, int | tuple[int | str, int]] | None = None,
        numbers: Sequence[str] = (),
        vectors: Mapping[str, int] | None = None,
        side: Sequence[str] = (),
    ) -> "Layout":
        """A layout that gives rows and columns out in order.

        Args:
            categorical: feature to its number of ids, or to (number of ids, max length) if multi-valued; in
                place of a number of ids, an earlier feature whose rows it shares.
            numbers: numeric features.
            vectors: vector to its dimension.
            side: side inputs.
        """
        slots, row, column = {}, 0, 0
        for name, size in (categorical or {}).items():
            rows, length = size if isinstance(size, tuple) else (size, 1)
            if rows in slots:
                slots[name] = CategoricalSlots(name, slots[rows].first_row, slots[rows].rows, column, length)
            elif isinstance(rows, str):
                raise ValueError(f"layout: '{name}' shares the rows of '{rows}', which is no earlier feature")
            else:
                slots[name] = CategoricalSlots(name, row, rows, column, length)
                row += rows
            column += length
        return cls(
            tuple(slots.values()),
            numbers,
            tuple(VectorInput(name, dim) for name, dim in (vectors or {}).items()),
            side,
        )

    @property
    def feature_names(self) -> list[str]:
        return [f.name for f in self.categorical] + list(self.numbers) + [v.name for v in self.vectors]

    @property
    def id_slots(self) -> int:
        """Number of columns of `ids`."""
        return max((f.first_slot + f.length for f in self.categorical), default=0)

    @property
    def table_rows(self) -> int:
        """Number of rows of the embedding table."""
        return max((f.first_row + f.rows for f in self.categorical), default=0)

    def pack(self, columns: dict) -> dict:
        """Packed inputs from a batch of named columns (or packed inputs, unchanged); see `packing.pack`."""
        from mtl_models.inputs.packing import pack

        return pack(self, columns)

    def to_dict(self) -> dict:
        """The layout as plain JSON values."""
        return {
            "categorical": [dataclasses.asdict(f) for f in self.categorical],
            "numbers": list(self.numbers),
            "vectors": [dataclasses.asdict(v) for v in self.vectors],
            "side": list(self.side),
        }

    @classmethod
    def from_dict(cls, values: dict) -> "Layout":
        return cls(
            tuple(CategoricalSlots(**f) for f in values["categorical"]),
            tuple(values["numbers"]),
            tuple(VectorInput(**v) for v in values["vectors"]),
            tuple(values.get("side", ())),
        )

    get_config = to_dict
    from_config = from_dict


def _refuse_overlap(spans: list[tuple[int, int, str]], what: str) -> None:
    spans = sorted(spans)
    for (start, size, name), (next_start, _, next_name) in zip(spans, spans[1:]):
        if start + size > next_start:
            raise ValueError(f"layout: features '{name}' and '{next_name}' share {what}")
