"""A shaped link between two nodes: its rate, delay, jitter and loss, in user space or in the kernel."""
