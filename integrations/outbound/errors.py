"""Why a call to an address was not made, or was broken off.

IntegrationError
└── OutboundRefused       the address may not be called, or the answer breaks a rule; `rule` names it
    └── OutboundTooLarge  the answer is larger than allowed
"""

from integrations.errors import IntegrationError


class OutboundRefused(IntegrationError):
    """An address may not be called, or its answer breaks a rule; carries no credentials.

    Attributes:
        rule: The rule's short name: `scheme`, `userinfo`, `host`, `literal`, `port`, `address`, `tunnel`,
            `hosts`, `origin`, `credentials`, `method`, `encoding`, `size`.
    """

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule


class OutboundTooLarge(OutboundRefused):
    """The answer is larger than this purpose allows."""

    def __init__(self, message: str) -> None:
        super().__init__("size", message)
