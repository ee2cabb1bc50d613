"""The gRPC server and client that every context uses."""
