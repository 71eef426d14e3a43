"""Lanes, visits and annotations: the way to people in Label Studio and back."""
