"""Many runs at once: sums of sketches, and what they tell (docs/populations.md)."""
