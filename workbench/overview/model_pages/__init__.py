"""Pages of model versions: they show what predictions and people make of each."""
