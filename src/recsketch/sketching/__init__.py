"""What a sketch is: the specification and its random matrices, the plan of a batch, packed storage."""
