"""Who did what to what: an append-only record in which each entry vouches for the one before."""
