"""Uploaded files: their pages, their API, where they lie and what became of them."""
