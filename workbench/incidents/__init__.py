"""What went wrong and was seen: opened once, counted again, and healed with how."""
