"""The Open Inference Protocol (KServe v2) over gRPC, as client and server. Knows tensors and models, not exits."""
