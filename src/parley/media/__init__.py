"""What a file is, by its bytes alone: nothing here believes a name or a client."""
