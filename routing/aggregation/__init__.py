"""Several people's answers into one consensus label, one algorithm a file."""
