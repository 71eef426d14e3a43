"""The annotation workbench: pre-label, route to people, count what it gave."""
