"""How well a specification does for the runs that it is meant for."""
