"""The demo: one project end to end on real texts with replayed human ratings."""
