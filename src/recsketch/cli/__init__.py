"""The command line, `recsketch`."""
