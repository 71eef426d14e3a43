"""What can go wrong with Label Studio, by what to do about it.

IntegrationError
└── LabelStudioError
    ├── LabelStudioUnavailable   down, too slow or answering 5xx: try again later
    ├── LabelStudioRefused       the token is wrong or may not do this: give another
    ├── LabelStudioRejected      it will not take what we sent: mend the data
    │   ├── AccountExists        the e-mail address has an account already
    │   └── AddressRefused       it does not call the address we gave for webhooks
    ├── LabelStudioConfused      an answer not of the expected form, or counts that disagree
    ├── LabelConfigInvalid       the label config cannot be used
    ├── PortTaken                another program listens on the wanted port
    └── LocalServerFailed        our own local server could not be prepared or started

No message carries a token, a password or an item's text.
"""

from integrations.errors import IntegrationError


class LabelStudioError(IntegrationError):
    """Something went wrong with Label Studio."""


class LabelStudioUnavailable(LabelStudioError):
    """Label Studio is down, too slow or answered 5xx; the same call may succeed later."""


class LabelStudioRefused(LabelStudioError):
    """Label Studio does not accept the token for this."""


class LabelStudioRejected(LabelStudioError):
    """Label Studio did not take what was sent; sending the same again will not help.

    Attributes:
        status: The HTTP status of the answer, e.g. 400 or 404.
    """

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class AccountExists(LabelStudioRejected):
    """The e-mail address has a Label Studio account already."""


class AddressRefused(LabelStudioRejected):
    """The server does not call this address: private ones are refused by default."""


class LabelStudioConfused(LabelStudioError):
    """Label Studio's answer has an unexpected form, or its counts disagree with what was asked."""


class LabelConfigInvalid(LabelStudioError):
    """The label config is not well formed, not safe, or does not fit the items."""


class PortTaken(LabelStudioError):
    """Another program listens on the port that the local server should use."""


class LocalServerFailed(LabelStudioError):
    """The local Label Studio could not be prepared or started; the message names its log."""
