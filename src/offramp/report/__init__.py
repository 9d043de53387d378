"""What a reproduction or a suite shows: one sentence, the paper's figures, and a page."""
