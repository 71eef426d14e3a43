"""Pages of the record: who did what to what."""
