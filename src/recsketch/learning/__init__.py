"""What sketches teach: matrices that nobody told, and modules (docs/learning.md). Experimental."""
