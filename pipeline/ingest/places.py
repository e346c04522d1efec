"""Columns that say where a row was read: they put rows in one order however the work was cut.

\\0 keeps their names apart from any column of a recipe.
"""

# int32, the number of the file, and int64, the row's number in it
FILE, POSITION = "\0file", "\0position"
