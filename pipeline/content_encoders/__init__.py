"""Pictures and texts → vectors: once per content, at scale, by any encoder. `encode.encode` is the way in."""
