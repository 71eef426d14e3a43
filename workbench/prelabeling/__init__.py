"""Predictions for items."""
