"""What an experiment shows: one sentence, the paper's figures, and a page."""
