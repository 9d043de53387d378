"""The edge and the cloud: as libraries, as models on a server, as processes."""
