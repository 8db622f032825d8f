"""Learning from sketches: the modules of a network whose structure is known. Experimental."""
