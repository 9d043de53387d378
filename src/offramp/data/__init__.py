"""Image sets: where they come from and how they are split. No torch, so that a test node needs none."""
