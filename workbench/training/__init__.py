"""Training pre-label models on what people said."""
