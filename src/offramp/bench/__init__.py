"""The paper's test node, and the experiments made with it."""
