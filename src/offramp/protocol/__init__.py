"""The Open Inference Protocol: client, server, gRPC and REST. Knows no network and no tier."""
