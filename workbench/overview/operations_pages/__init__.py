"""Pages of operations: how the installation stands."""
