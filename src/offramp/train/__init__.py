"""Train a network with local exits: recipe, loss, augmentation, loop."""
