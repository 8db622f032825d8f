"""What changed from one population to another, and when a stream of runs is no longer like a reference."""
