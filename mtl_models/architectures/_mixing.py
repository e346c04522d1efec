from keras import ops


def mix(weights, z):
    """`Σ_e weights[b, t, e] z[b, e, u]`: what each task's gate mixes of the shared experts.

    Args:
        weights: [B, T, E].
        z: the experts' outputs [B, E, u], or T copies of them, of which task k's mixture reads the k-th.

    Returns:
        [B, T, u].
    """
    if isinstance(z, list):
        return ops.stack([ops.einsum("be,beu->bu", weights[:, k], own) for k, own in enumerate(z)], axis=1)
    return ops.einsum("bte,beu->btu", weights, z)
