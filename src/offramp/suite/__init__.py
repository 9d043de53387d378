"""Networks trained under several regimes and seeds, one after another, within a budget."""
