"""Keeping an installation well: back-ups, restore, the nightly comparison, retention and erasure."""
