"""Suppliers: what a lead sees of their own, and what a project manager sets up for them."""
