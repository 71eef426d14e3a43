"""The floor of all pages: layout, styles, charts, errors."""
