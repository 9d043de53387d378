"""Training regimes: what is made of the exits' logits, when, and which parts of the network learn from it."""
