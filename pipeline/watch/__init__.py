"""What a recommender's vectors are like, and whether they have changed."""
