"""Persons, pools, suppliers, rate cards and Label Studio servers with their accounts."""
