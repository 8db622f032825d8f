"""What a run is: traces built by hand, batches of them as columns, and their drawings."""
