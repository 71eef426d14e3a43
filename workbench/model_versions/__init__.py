"""Immutable versions of pre-label models."""
