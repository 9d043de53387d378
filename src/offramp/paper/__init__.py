"""The paper's experiment: what it states, its documents, run, verdicts and pages. Only the command line imports it."""
