"""Two small encoders for the demo's content, written with its world: nothing is downloaded for them.

They were never trained, so they show what any encoder must keep: of a picture its colours by place, of a text
its words. `encoders/pictures` is a Keras model, `encoders/words` a SavedModel that takes texts.
"""

from pathlib import Path

SIDE, PICTURE_NUMBERS, TEXT_NUMBERS = 4, 16, 32
_BUCKETS = 4096

_PICTURES = f"""version: demo 1
kind: image
dimension: {PICTURE_NUMBERS}
image:
  size: [{SIDE}, {SIDE}]
  resize: stretch
  interpolation: bilinear
  mean: [127.5, 127.5, 127.5]
  std: [64, 64, 64]
"""
_WORDS = f"""version: demo 1
kind: text
dimension: {TEXT_NUMBERS}
text: {{}}
"""


def write_encoders(folder: Path) -> None:
    """Writes both into `folder`; the same weights every time."""
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for name, text in (("pictures", _PICTURES), ("words", _WORDS)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "encoder.yaml").write_text(text, encoding="utf-8")
    _pictures().save(folder / "pictures" / "model.keras")
    _save_words(folder / "words" / "model")


def _pictures():
    """`[B, SIDE, SIDE, 3]` → `[B, PICTURE_NUMBERS]`: an orthogonal map of the pixels."""
    import keras

    image = keras.Input((SIDE, SIDE, 3), name="image")
    orthogonal = keras.initializers.Orthogonal(seed=1)
    project = keras.layers.Dense(PICTURE_NUMBERS, use_bias=False, kernel_initializer=orthogonal)
    return keras.Model(image, project(keras.layers.Flatten()(image)), name="colours")


def _save_words(folder: Path) -> None:
    """Texts `[B]` → `[B, TEXT_NUMBERS]`: the sum of a fixed random vector a word, over √words."""
    import numpy as np
    import tensorflow as tf

    class Words(tf.Module):
        def __init__(self):
            super().__init__()
            rows = np.random.default_rng(1).normal(size=(_BUCKETS, TEXT_NUMBERS))
            self.rows = tf.Variable(rows.astype(np.float32), trainable=False)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def encode(self, text):
            words = tf.strings.split(tf.strings.regex_replace(tf.strings.lower(text), r"[^\pL\pN]+", " "))
            found = tf.gather(self.rows, tf.strings.to_hash_bucket_fast(words, _BUCKETS))
            many = tf.maximum(tf.cast(words.row_lengths(), tf.float32), 1.0)
            return {"vector": tf.reduce_sum(found, axis=1) / tf.sqrt(many)[:, None]}

    words = Words()
    tf.saved_model.save(words, str(folder), signatures={"serving_default": words.encode})
