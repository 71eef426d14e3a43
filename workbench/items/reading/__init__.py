"""Rows out of files as people send them, streamed, with line numbers; formats are told by content."""
