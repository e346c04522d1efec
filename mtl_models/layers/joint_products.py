from keras import ops


def joint_products(x, layers) -> list:
    """The first products of layers that read the same input, as one matmul in place of one each.

    Args:
        x: [B, D].
        layers: built for inputs [B, D], each with a `first_kernel`, [G, D, U] or None.

    Returns:
        `x W_g` of each layer's kernel, [B, G, U], for its argument `product`; None where it has no kernel.

    Example:
        >>> import numpy as np
        >>> from mtl_models import Experts, Gates
        >>> x, experts, gates = np.ones((4, 5), "float32"), Experts(3, (2,)), Gates(gates=2, experts=3)
        >>> experts.build(x.shape), gates.build(x.shape)
        (None, None)
        >>> products = joint_products(x, [experts, gates])
        >>> bool(np.allclose(experts(x, product=products[0]), experts(x), atol=1e-6))
        True
    """
    kernels = [layer.first_kernel for layer in layers]
    # outside of a layer's call no variable is cast to what the layer computes in
    columns = [
        ops.cast(ops.reshape(ops.transpose(kernel, (1, 0, 2)), (kernel.shape[1], -1)), layer.compute_dtype)
        for layer, kernel in zip(layers, kernels)
        if kernel is not None
    ]
    if not columns:
        return [None] * len(kernels)
    product = ops.matmul(ops.cast(x, columns[0].dtype), ops.concatenate(columns, axis=1))
    found, begin = [], 0
    for kernel in kernels:
        if kernel is None:
            found.append(None)
            continue
        groups, _, units = kernel.shape
        found.append(ops.reshape(product[:, begin : begin + groups * units], (-1, groups, units)))
        begin += groups * units
    return found
