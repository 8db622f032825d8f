"""What comes back: attributes of a known structure, an unknown structure unrolled, pooled statistics."""
