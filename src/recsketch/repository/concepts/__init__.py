"""Kinds of runs that emerge: `emergence` finds them, `kept` keeps them in a repository's index."""
