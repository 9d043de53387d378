"""Run spans of a bundle's graph, without torch."""
