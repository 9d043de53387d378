"""The documents that pass between the steps of the pipeline, and nothing that acts on them."""
