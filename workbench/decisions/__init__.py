"""Where an item goes, and why."""
