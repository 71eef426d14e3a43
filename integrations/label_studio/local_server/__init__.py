"""Files run by Label Studio's own interpreter, never imported by the workbench."""
