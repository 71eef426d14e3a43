"""Projects: what is asked, of which labels, in whose time zone."""
