"""What leaves: exports with provenance."""
