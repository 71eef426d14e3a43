"""Rows of an export as JSONL, CSV or Parquet: in pieces, then as one file."""
