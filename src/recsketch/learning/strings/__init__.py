"""Strings of the block family in sketches: what they say, which codes are some, and the columns that they make up."""
