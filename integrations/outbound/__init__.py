"""The one way to addresses that people give: checked, pinned, bounded, bound to their origin."""
