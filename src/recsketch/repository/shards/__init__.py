"""Many repositories, searched as one."""
