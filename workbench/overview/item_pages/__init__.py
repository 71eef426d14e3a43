"""Pages of items: they show what all features know of an item."""
