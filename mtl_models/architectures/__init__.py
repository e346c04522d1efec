"""Architectures: one public class a file, whose stem is its name in a recipe."""
