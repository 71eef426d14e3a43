"""Items: import, parts, states and their moves."""
