"""Durable background work behind one small module."""
