"""The label an item ends with, and where it comes from."""
