"""A project with all it needs at once: labels, pools, prices, routing, Label Studio, items, people."""
