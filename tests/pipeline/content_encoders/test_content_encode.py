"""Encoding whole: tables, the cache, bad content, runs at once and runs cut off."""

import json
import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.content_encoders import encode
from pipeline.ingest.errors import DataError

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
WORDS = {"kind": "text", "catalog": "items", "columns": ["title", "about"], "encoder": "letters"}
COUNTED = ("items", "vectors", "absent")


def _pictures(world, png, **colours):
    for name, colour in colours.items():
        (world / "pictures" / f"{name}.png").write_bytes(png(colour))


def test_pictures_and_texts_become_vectors_by_key(world, shop, png, write_items, vectors):
    _pictures(world, png, red=RED, green=GREEN)
    write_items(
        world,
        item=[7, 8, 9],
        picture=["pictures/red.png", f"file:{world}/pictures/green.png", None],
        title=["a b", None, " "],
        about=["c", "d", None],
    )
    log = {"user": "int", "item": "int", "clicked": {"type": "int", "known": "after"}}
    recipe = shop(
        features__words=WORDS, sources__catalogs__items__columns={"item": "int"}, sources__log__columns=log
    )
    told = []
    tables = encode(recipe, world, world / "out", lambda *at: told.append(at))
    assert vectors(tables["image"]) == {"7": [1, 0, 0], "8": [0, 1, 0], "9": "no content"}
    assert vectors(tables["words"]) == {"7": [5, 0], "8": [1, 0], "9": "no content"}, "joined by a line break"
    assert [tables["image"].counts[name] for name in COUNTED] == [3, 2, 1]
    assert pq.read_schema(sorted(tables["image"].path.glob("*.parquet"))[0]).names == [
        "key",
        "vector",
        "reason",
    ]


@pytest.mark.parametrize("pool, expected", [("mean", [0.5, 0.5, 0]), ("max", [1, 1, 0])])
def test_several_pictures_of_an_item_are_pooled(world, shop, png, write_items, vectors, pool, expected):
    _pictures(world, png, red=RED, green=GREEN)
    red, green = "pictures/red.png", "pictures/green.png"
    write_items(
        world,
        item=["list", "columns", "one is gone", "all are", "none"],
        front=[[red, green], [red], [red], ["x.png"], []],
        back=[None, green, "y.png", None, None],
    )
    recipe = shop(
        features__image__columns=["front", "back"],
        features__image__pool=pool,
        content={"max_failed_share": 0.5},
    )
    table = encode(recipe, world, world / "out")["image"]
    found = vectors(table)
    assert np.allclose(found["list"], expected) and np.allclose(found["columns"], expected)
    assert found["one is gone"] == [1, 0, 0]
    assert (found["all are"], found["none"]) == ("file not found", "no content")
    assert table.counts["contents"] == 7 and table.counts["contents_failed"] == {"file not found": 2}


def test_bytes_in_a_column_and_paths_in_text_formats(world, shop, png, write_items, vectors):
    expected = {"a": [1, 0, 0], "b": [0, 0, 1]}
    write_items(world, item=["a", "b"], picture=[png(RED), png(BLUE)])
    assert vectors(encode(shop(), world, world / "out")["image"]) == expected
    _pictures(world, png, red=RED, blue=BLUE)
    (world / "items.csv").write_text("picture,item\npictures/red.png,a\npictures/blue.png,b\n")
    (world / "items.jsonl").write_text(
        "".join(
            json.dumps({"item": i, "picture": f"pictures/{p}.png"}) + "\n"
            for i, p in (("a", "red"), ("b", "blue"))
        )
    )
    for name in ("items.csv", "items.jsonl"):
        recipe = shop(sources__catalogs__items__files=name)
        table = encode(recipe, world, world / "out")["image"]
        assert vectors(table) == expected and table.counts["encoded"] == 0, "the same content is known"


def test_a_content_is_encoded_once(world, shop, png, write_items, vectors):
    _pictures(world, png, red=RED, same=RED, green=GREEN)
    items = {"item": ["a", "b", "c"], "picture": [f"pictures/{n}.png" for n in ("red", "same", "green")]}
    write_items(world, **items)
    first = encode(shop(), world, world / "out")["image"]
    assert first.counts["encoded"] == 2, "two of three are alike"
    again = encode(shop(), world, world / "out")["image"]
    assert (again.counts["encoded"], again.path) == (0, first.path)
    # a new day: an item more, and other content under an old path
    _pictures(world, png, new=BLUE, green=(0, 0, 51))
    write_items(world, item=[*items["item"], "d"], picture=[*items["picture"], "pictures/new.png"])
    day = encode(shop(), world, world / "out")["image"]
    assert day.counts["encoded"] == 2 and day.path != first.path
    found = vectors(day)
    assert found["a"] == found["b"] == [1, 0, 0] and found["d"] == [0, 0, 1]
    assert np.allclose(found["c"], [0, 0, 0.2])


def test_vectors_of_another_encoder_version_are_never_taken(world, shop, png, write_items, vectors, encoders):
    _pictures(world, png, red=RED)
    write_items(world, item=["a"], picture=["pictures/red.png"])
    first = encode(shop(), world, world / "out")["image"]
    (world / "colour").unlink()
    (world / "colour").mkdir()
    (world / "colour" / "model.keras").write_bytes((encoders / "colour" / "model.keras").read_bytes())
    declared = (encoders / "colour" / "encoder.yaml").read_text()
    (world / "colour" / "encoder.yaml").write_text(f"# only a comment\n{declared}")
    assert encode(shop(), world, world / "out")["image"].encoder_digest == first.encoder_digest
    (world / "colour" / "encoder.yaml").write_text(
        declared.replace("resize: stretch", "resize: 4, std: [1, 1, 1]")
    )
    other = encode(shop(), world, world / "out")["image"]
    assert other.encoder_digest != first.encoder_digest and other.counts["encoded"] == 1
    assert vectors(first) == {"a": [1, 0, 0]} and vectors(other) == {"a": [255, 0, 0]}


def test_all_the_bad_content_is_counted(world, shop, png, write_items, vectors):
    import io

    from PIL import Image

    def saved(image, kind):
        file = io.BytesIO()
        image.save(file, kind)
        return file.getvalue()

    whole = png(RED, (300, 300))
    pictures = {
        "good": whole,
        "truncated": saved(Image.effect_noise((300, 300), 50), "PNG")[:20_000],
        "zero bytes": b"",
        "gif": saved(Image.new("RGB", (9, 9), RED), "GIF"),
        "cmyk": saved(Image.new("CMYK", (9, 9)), "JPEG"),
        "1x1": png(RED, (1, 1)),
        "huge": saved(Image.new("1", (20_000, 20_000)), "PNG"),
        "not a picture": b"%PDF-1.4 nothing here is a picture",
        "not there": None,
        "none": None,
    }
    texts = {
        "good": "a chair",
        "empty": "",
        "blank": " \n\t ",
        "missing": None,
        "10 MB": "word " * 2_000_000,
        "mixed scripts": "стул椅子chair",
        "emoji": "🙂👩‍👩‍👧",
        "control characters": "\x00\x01\x1b[31m",
    }
    for name, content in pictures.items():
        if content is not None:
            (world / "pictures" / name).write_bytes(content)
    keys = [*pictures, *(f"text: {name}" for name in texts)]
    write_items(
        world,
        item=keys,
        picture=[None if n == "none" else f"pictures/{n}" for n in pictures] + [None] * len(texts),
        title=[None] * len(pictures) + list(texts.values()),
        about=[None] * len(keys),
    )
    changes = dict(features__words=WORDS, content={"max_failed_share": 0.6})
    tables = encode(shop(**changes), world, world / "out")
    found = vectors(tables["image"])
    assert [found[n] for n in ("good", "gif", "1x1")] == [[1, 0, 0]] * 3 and np.allclose(
        found["cmyk"], 1, atol=0.01
    )
    failed = {
        "truncated": "a picture cut off or damaged",
        "zero bytes": "has 0 bytes",
        "huge": "more than 50,000,000 pixels",
        "not a picture": "not a picture in a known format",
        "not there": "file not found",
    }
    assert {n: found[n] for n in failed} == failed
    counts = tables["image"].counts
    assert counts["reasons"] == {"no content": 1 + len(texts)} | dict.fromkeys(failed.values(), 1)
    assert counts["contents_failed"] == dict.fromkeys(failed.values(), 1)
    words = vectors(tables["words"])
    assert {n for n in texts if isinstance(words[f"text: {n}"], str)} == {"empty", "blank", "missing"}
    assert words["text: emoji"] == [len("🙂👩‍👩‍👧".encode()), 1]
    assert words["text: 10 MB"][0] == 16 * 100, "the beginning is read"
    for table in tables.values():
        counts = table.counts
        assert counts["items"] == len(keys) == counts["vectors"] + counts["absent"]
        assert sum(counts["reasons"].values()) == counts["absent"]
    # 5 of 9 items with a picture failed
    with pytest.raises(
        DataError, match=r"features.image: .* 5 of 9 items .*max_failed_share allows 50.00%: 1 ×"
    ):
        encode(shop(**changes | {"content": {"max_failed_share": 0.5}}), world, world / "out")


def test_pictures_and_encoders_at_a_uri_are_read_by_beam(world, shop, png, write_items, vectors, s3):
    _pictures(world, png, green=GREEN)
    s3.create_bucket(Bucket="content")
    for folder in ("pictures", "colour"):
        for path in (world / folder).rglob("*"):
            if path.is_file():
                s3.put_object(Bucket="content", Key=str(path.relative_to(world)), Body=path.read_bytes())
    places = ["s3://content/pictures/green.png", "s3://content/pictures/not.png", "unknown://green.png"]
    write_items(world, item=["a", "b", "c"], picture=places)
    recipe = shop(
        encoders__colour={"uri": "s3://content/colour", "dimension": 3}, content={"max_failed_share": 0.7}
    )
    found = vectors(encode(recipe, world, world / "out")["image"])
    assert found == {"a": [0, 1, 0], "b": "file not found", "c": "file cannot be read"}


def test_what_fits_no_encoder_says_so(world, shop, png, write_items):
    write_items(world, item=["a", "a"], picture=["x.png", "y.png"], number=[1, 2])
    for changes, said in [
        ({"features__image__columns": "photo"}, "has no column photo; it has item, picture, number"),
        ({"features__image__columns": "number"}, "content is texts, bytes, or lists of these"),
        (
            {"encoders__colour": {"uri": "colour", "dimension": 4}},
            "the recipe says dimension 4, and .* says 3",
        ),
        ({"encoders__colour": {"uri": "nowhere", "dimension": 3}}, "there is no folder .*nowhere"),
        ({"encoders__colour": {"uri": "letters", "dimension": 2}}, "reads texts; an encoder of images would"),
        ({}, "the key 'a' is in its catalog more than once"),
    ]:
        with pytest.raises(DataError, match=said):
            encode(shop(**changes), world, world / "out")


def test_a_model_of_another_form_than_declared_says_so(world, shop, png, write_items, encoders):
    _pictures(world, png, red=RED)
    write_items(world, item=["a"], picture=["pictures/red.png"])
    (world / "wrong").mkdir()
    (world / "wrong" / "model.keras").write_bytes((encoders / "colour" / "model.keras").read_bytes())
    (world / "wrong" / "encoder.yaml").write_text(
        (encoders / "colour" / "encoder.yaml").read_text().replace("dimension: 3", "dimension: 5")
    )
    recipe = shop(encoders__colour={"uri": "wrong", "dimension": 5})
    with pytest.raises(DataError, match=r"gives \[1, 3\] for 1 items, and vectors of 5 were declared"):
        encode(recipe, world, world / "out")


def _encode_slowly(recipe: dict, world: Path) -> None:
    from pipeline.content_encoders import infer
    from pipeline.recipe import Recipe

    infer.FLUSH_SECONDS = 0.0  # every batch is kept at once
    prepared = infer.encode_batch
    infer.encode_batch = lambda *args: (time.sleep(1), prepared(*args))[1]
    encode(Recipe.model_validate(recipe), world, world / "out")


def test_two_runs_at_once_after_one_that_was_killed(world, shop, png, write_items, vectors):
    items = [f"i{n}" for n in range(40)]
    _pictures(world, png, **{item: (n, 0, 0) for n, item in enumerate(items)})
    write_items(world, item=items, picture=[f"pictures/{item}.png" for item in items])
    recipe = shop(encoders__colour={"uri": "colour", "dimension": 3, "batch_size": 2})
    killed = multiprocessing.get_context("spawn").Process(
        target=_encode_slowly, args=(recipe.model_dump(mode="json", exclude_unset=True), world)
    )
    killed.start()
    shards = world / "out" / "content" / "vectors"
    deadline = time.monotonic() + 300
    while len(list(shards.glob("*/*.parquet"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    killed.kill()
    killed.join()
    kept = sum(pq.read_metadata(path).num_rows for path in shards.glob("*/*.parquet"))
    assert 6 <= kept < 40
    with ThreadPoolExecutor(2) as threads:
        both = list(threads.map(lambda _: encode(recipe, world, world / "out")["image"], range(2)))
    for table in both:
        assert table.counts["encoded"] <= 40 - kept, "what the killed run made is kept"
        found = vectors(table)
        assert all(np.allclose(found[f"i{n}"], [n / 255, 0, 0], atol=1e-6) for n in range(40))
    assert encode(recipe, world, world / "out")["image"].counts["encoded"] == 0
    left = [path.name for path in (world / "out" / "content").rglob("*") if path.name.startswith(".")]
    assert left == [], "what the killed run left is cleared away"
