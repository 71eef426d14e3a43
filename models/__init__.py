"""Models that pre-label items: texts in, label probabilities out; knows torch, knows no database."""
