"""What is written about the commands, all from their own parsers: help, completion for shells, the manual page."""
