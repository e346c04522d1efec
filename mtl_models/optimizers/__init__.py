"""Row-sparse optimizers of the embedding table: one public class a file, whose stem names it in a recipe."""
