"""Days or hours of the log: which rows are theirs, which versions there are, and what a run makes of them."""
