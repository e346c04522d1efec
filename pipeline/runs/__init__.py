"""The runs of a recommender as things on a disk: which there are, what they hold, and what can go."""
