"""The errors of every integration.

IntegrationError
└── label_studio.errors: LabelStudioError and its kinds
"""


class IntegrationError(Exception):
    """Another system did not do what we asked; the message says what to do next."""
