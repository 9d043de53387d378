"""Any classifier's graph: read, found fit, cut into stages. Knows nothing of torch, heads or bundles."""
