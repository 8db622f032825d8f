"""Runs of real systems as batches of traces: an adapter a file or folder, none of which knows a sketch."""
