"""Runs of real systems as traces: adapters, one a file or folder, each of which makes a TraceBatch."""
