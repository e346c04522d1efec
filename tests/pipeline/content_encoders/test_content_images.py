"""Pictures to arrays: against an independent way to the same numbers, and each kind of bad picture."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.content_encoders.declaration import ImageInput
from pipeline.content_encoders.errors import BadContent
from pipeline.content_encoders.images import image_array

PLAIN = ImageInput(size=(8, 8), resize="stretch")


def _file(image: Image.Image, kind: str, **settings) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


def _noise(width: int, height: int, channels: int = 3) -> Image.Image:
    values = np.random.default_rng(1).integers(0, 256, (height, width, channels), np.uint8)
    return Image.fromarray(values)


@pytest.mark.parametrize("size", [(301, 220), (97, 260), (224, 224)])
def test_resize_and_cut_is_what_resizing_whole_and_then_cutting_is(size):
    declared = ImageInput(size=(40, 32), resize=48, mean=(1, 2, 3), std=(4, 5, 6), layout="channels_first")
    image = _noise(*size)
    short = min(size)
    whole = image.resize([int(48 / short * side) for side in size], Image.Resampling.BICUBIC)
    left, top = round((whole.width - 32) / 2), round((whole.height - 40) / 2)
    expected = np.asarray(whole.crop((left, top, left + 32, top + 40)), np.float64)
    expected = ((expected - [1, 2, 3]) / [4, 5, 6]).transpose(2, 0, 1)
    found = image_array(_file(image, "PNG"), declared)
    assert found.dtype == np.float32 and found.shape == (3, 40, 32)
    assert np.abs(found - expected).max() <= 1 / 4 + 1e-6  # one step of 256 where the two round apart
    assert np.abs(found - expected).mean() < 0.01


def test_every_mode_becomes_rgb():
    red = Image.new("RGB", (9, 9), (255, 0, 0))
    for name, content in {
        "GIF, first frame": _file(
            red.quantize(4), "GIF", save_all=True, append_images=[_noise(9, 9).quantize(4)]
        ),
        "CMYK": _file(red.convert("CMYK"), "JPEG", quality=95),
        "palette": _file(red.quantize(2), "PNG"),
    }.items():
        assert np.allclose(image_array(content, PLAIN), [1, 0, 0], atol=0.03), name
    clear = Image.new("RGBA", (9, 9), (255, 0, 0, 0))
    assert np.allclose(image_array(_file(clear, "PNG"), PLAIN), 1.0), "what is seen through is white"
    deep = Image.fromarray(np.full((9, 9), 257 * 100, np.uint16))
    assert np.allclose(image_array(_file(deep, "PNG"), PLAIN), 100 / 255, atol=0.003), "16 bits"
    assert np.allclose(image_array(_file(Image.new("L", (1, 1), 51), "PNG"), PLAIN), 0.2), "1 x 1, grey"


def test_a_picture_is_turned_upright():
    half = np.zeros((8, 8, 3), np.uint8)
    half[:4] = 255
    turned = Image.Exif()
    turned[0x0112] = 3  # upside down
    found = image_array(_file(Image.fromarray(half), "PNG", exif=turned), PLAIN)
    assert found[:4].mean() < 0.2 and found[4:].mean() > 0.8


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "has 0 bytes"),
        (b"<html>not found</html>", "not a picture"),
        (_file(_noise(200, 200), "PNG")[:9000], "cut off or damaged"),
        (_file(_noise(200, 200), "JPEG")[:3000], "cut off or damaged"),
        (_file(_noise(200, 200).quantize(8), "GIF")[:500], "cut off or damaged"),
    ],
)
def test_what_cannot_be_decoded_says_why(content, reason):
    with pytest.raises(BadContent, match=reason):
        image_array(content, PLAIN)


def test_huge_pictures_take_bounded_memory():
    import resource

    huge = _file(Image.new("1", (20_000, 20_000)), "PNG")
    wide = _file(Image.new("L", (9_000, 8_000), 51), "JPEG")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadContent, match="more than 50,000,000 pixels"):
        image_array(huge, PLAIN)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 50 * 1024, "KiB"
    # of a JPEG a fraction is decoded
    assert np.allclose(image_array(wide, PLAIN), 0.2, atol=0.01)
