"""What a user's program calls a node with."""
