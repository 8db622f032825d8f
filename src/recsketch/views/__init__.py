"""Runs as pictures and lists in HTML: one file, no network, light and dark. Nothing here knows what a sketch is."""
