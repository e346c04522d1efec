"""A picture's bytes → the numbers that an encoder takes."""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.content_encoders.declaration import ImageInput
from pipeline.content_encoders.errors import BadContent

# A picture decoded whole takes 3 to 4 bytes a pixel: this bounds memory to about 200 MB a thread.
MAX_PIXELS = 50_000_000
_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # MAX_PIXELS is the bound here


def image_array(content: bytes, declared: ImageInput) -> np.ndarray:
    """Decodes a picture (of an animation the first frame), turns it upright, puts it on white where it is
    transparent, resizes, cuts and normalises it.

    Returns:
      float32 `[height, width, 3]`, or `[3, height, width]`.

    Raises:
      BadContent: it cannot be decoded, or is larger than `MAX_PIXELS`; a JPEG is decoded at a fraction of
        its size where that brings it below.
    """
    if not content:
        raise BadContent("has 0 bytes")
    try:
        with Image.open(io.BytesIO(content)) as image:
            _bound(image)
            return _array(_rgb(ImageOps.exif_transpose(image)), declared)
    except UnidentifiedImageError:
        raise BadContent("not a picture in a known format") from None
    except Image.DecompressionBombError:
        raise BadContent(f"more than {MAX_PIXELS:,} pixels") from None
    except MemoryError:
        raise
    except BadContent:
        raise
    except Exception:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, ... on damage
        raise BadContent("a picture cut off or damaged") from None


def _bound(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS and image.format == "JPEG":
        scale = (MAX_PIXELS / (width * height)) ** 0.5
        image.draft("RGB", (int(width * scale / 2), int(height * scale / 2)))
        width, height = image.size
    if width * height > MAX_PIXELS:
        raise BadContent(f"more than {MAX_PIXELS:,} pixels")


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode in ("I;16", "I;16B", "I", "F"):  # more than 8 bits a pixel, which convert() would cut off
        values = np.asarray(image, np.float32)
        if image.mode != "F":
            values = values / 257.0
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _array(image: Image.Image, declared: ImageInput) -> np.ndarray:
    height, width = declared.size
    resample = _FILTERS[declared.interpolation]
    if declared.resize == "stretch":
        image = image.resize((width, height), resample)
    else:
        # only what will be cut out is computed: resized whole, a 10,000 x 1 picture would be large
        share = declared.resize / min(image.size)
        box = []
        for length, kept in zip(image.size, (width, height)):
            resized = int(length * share)
            start = round((resized - kept) / 2)
            box.append((start * length / resized, (start + kept) * length / resized))
        (left, right), (top, bottom) = box
        image = image.resize((width, height), resample, box=(left, top, right, bottom))
    values = np.asarray(image, np.float32)
    values = (values - np.asarray(declared.mean, np.float32)) / np.asarray(declared.std, np.float32)
    return values if declared.layout == "channels_last" else np.ascontiguousarray(values.transpose(2, 0, 1))
