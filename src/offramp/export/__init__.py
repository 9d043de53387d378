"""From a checkpoint to a bundle, through a gate that compares the two."""
