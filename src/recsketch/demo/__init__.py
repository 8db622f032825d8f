"""The demonstration: pages of digits, sketched and read back; `recsketch demo`."""
