"""What people look at: plain text for terminals."""
