"""Whether a span is of the same kind as those before it: distances between statistics, bounds, sentences."""
