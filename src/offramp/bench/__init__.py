"""Load on running nodes by scenarios, what came back, and whether it is what it must be."""
