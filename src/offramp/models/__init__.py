"""Networks with local exits: stages and heads, and nothing else that the later steps would have to know."""
