"""A cloud whose tails run on the replicas of a Ray cluster; the one room that reaches Ray."""
