"""Operators of sketches that nobody told: how they swap blocks, with which signs, and what can be read through them."""
