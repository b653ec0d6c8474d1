"""Addresses of files: shown and compared without what signs them."""

from __future__ import annotations

import re

#: Of a URL of the web, everything from its query or fragment on; of other addresses, whose names may hold a question
#: mark, what reads like a query: `?versionId=7`. A chain's next part (`::`) is none of it.
WEB = re.compile(r"(?i)(https?://[^\s?#'\"]+)[?#](?:(?!::)[^\s'\"])*")
OTHER = re.compile(r"(?i)([a-z0-9+.-]+://[^\s?'\"]+)\?[\w.-]+=(?:(?!::)[^\s'\"])*")


class Address(str):
    """An address whose text has no query: that is what is printed, compared, kept and named after it.

    Presigned addresses carry a signature in their query, which is another one tomorrow, and nobody else's business.

    Attributes:
        whole: The address with its query, as it is opened.
    """

    whole: str

    def __new__(cls, whole: str) -> Address:
        """Return the address whose text is `whole` without its query."""
        address = super().__new__(cls, unsigned(whole))
        address.whole = whole
        return address


def address(path: str) -> str:
    """Return a path, or an address without its query that is opened with it."""
    return path if isinstance(path, Address) or unsigned(path) == path else Address(path)


def whole(path: str) -> str:
    """Return an address as it is opened."""
    return path.whole if isinstance(path, Address) else path


def unsigned(text: str) -> str:
    """Return text in which no address has its query.

    Example:
        >>> unsigned("404: https://bucket/00000.tar?X-Amz-Signature=5e7a, not found")
        '404: https://bucket/00000.tar not found'
    """
    return OTHER.sub(r"\1", WEB.sub(r"\1", text))
