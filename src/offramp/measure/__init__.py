"""Measure once, answer many questions from it."""
