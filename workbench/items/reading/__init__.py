"""Rows out of files as people send them: CSV, JSON Lines and XLSX, streamed, with line numbers."""
