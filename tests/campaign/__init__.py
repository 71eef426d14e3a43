"""The fault campaign: seeded, resumable, each failing seed kept as a test."""
