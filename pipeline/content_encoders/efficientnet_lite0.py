"""EfficientNet-Lite0 without its classifier, in Keras 3, with the weights of a PyTorch file.

Tan & Le 2019 (https://arxiv.org/abs/1905.11946), table 1; the Lite variants have ReLU6 for swish and no
squeeze and excitation. Padding is TensorFlow's SAME, batch normalisation's epsilon 1e-3.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from keras import layers

from pipeline.content_encoders.torch_file import read_tensors

# kernel, channels out, expansion, stride of each block
_BLOCKS = [
    (3, 16, 1, 1),
    *[(3, 24, 6, 2), (3, 24, 6, 1)],
    *[(5, 40, 6, 2), (5, 40, 6, 1)],
    *[(3, 80, 6, 2), (3, 80, 6, 1), (3, 80, 6, 1)],
    *[(5, 112, 6, 1), (5, 112, 6, 1), (5, 112, 6, 1)],
    *[(5, 192, 6, 2), (5, 192, 6, 1), (5, 192, 6, 1), (5, 192, 6, 1)],
    (3, 320, 6, 1),
]


def build(path: Path) -> keras.Model:
    """float32 `[B, 224, 224, 3]`, (RGB − 127) / 128 → `[B, 1280]`, the mean over places of the last layer."""
    weights = read_tensors(path)
    image = keras.Input((224, 224, 3), name="image")
    x = _conv(image, weights, "_conv_stem", "_bn0", stride=2)
    for i, (kernel, channels, expansion, stride) in enumerate(_BLOCKS):
        block, name = x, f"_blocks.{i}."
        if expansion > 1:
            x = _conv(x, weights, name + "_expand_conv", name + "_bn0")
        x = _conv(x, weights, name + "_depthwise_conv", name + "_bn1", stride)
        x = _conv(x, weights, name + "_project_conv", name + "_bn2", activation=False)
        assert x.shape[-1] == channels and weights[name + "_depthwise_conv.weight"].shape[-1] == kernel
        if stride == 1 and block.shape[-1] == channels:
            x = layers.add([block, x])
    x = _conv(x, weights, "_conv_head", "_bn1")
    return keras.Model(image, layers.GlobalAveragePooling2D()(x))


def _conv(x, weights: dict[str, np.ndarray], conv: str, norm: str, stride: int = 1, activation: bool = True):
    """A convolution with its batch normalisation multiplied into it, and ReLU6."""
    kernel = weights[conv + ".weight"]  # [out, in / groups, height, width]
    scale = weights[norm + ".weight"] / np.sqrt(weights[norm + ".running_var"] + 1e-3)
    shift = weights[norm + ".bias"] - weights[norm + ".running_mean"] * scale
    kernel = (kernel * scale[:, None, None, None]).transpose(2, 3, 1, 0)
    settings = dict(strides=stride, padding="same", name=conv.replace(".", "_").strip("_"))
    if kernel.shape[2] == 1 and kernel.shape[3] == x.shape[-1] and kernel.shape[0] > 1:
        layer = layers.DepthwiseConv2D(kernel.shape[0], **settings)
        kernel = kernel.transpose(0, 1, 3, 2)
    else:
        layer = layers.Conv2D(kernel.shape[3], kernel.shape[0], **settings)
    x = layer(x)
    layer.set_weights([kernel, shift])
    return layers.ReLU(6.0)(x) if activation else x
