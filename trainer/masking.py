"""Secrets in addresses, masked before anybody reads them.

The one place that knows how a password looks: the other packages write addresses into their errors, too, and this
package depends on none of them.
"""

from __future__ import annotations

import re

# Both patterns look at each character a bounded number of times: what is masked may be a hostile file's.
_WORD = re.compile(r"[^\s'\"]+")
_SECRET = re.compile(
    r"(?i)((?:password|passwd|pwd|secret|token|credential|api_?key|access_?key|signature)[\w-]{0,40}=)[^&;\s'\"]+"
)


def redact(text: str) -> str:
    """Return the text with the passwords and tokens of all URIs in it masked; user names with a password stay."""
    text = _SECRET.sub(r"\1***", text)  # first: a password in a query may hold the @ that `_mask_user` looks for
    return _WORD.sub(lambda match: _mask_user(match[0]), text) if "://" in text else text


def redact_address(address: str) -> str:
    """Return a whole address with its secrets masked, also where it lacks its scheme: all before its last @."""
    _, at, host = address.rpartition("@")
    return f"***@{host}" if at and "://" not in address else redact(address)


def _mask_user(word: str) -> str:
    """Mask up to the last @: database URLs may hold passwords with / and @ in them."""
    scheme, separator, rest = word.partition("://")
    user, at, host = rest.rpartition("@")
    if not at:
        return word
    name, colon, _ = user.partition(":")
    return f"{scheme}{separator}{name}:***@{host}" if colon and name and "/" not in name else f"{scheme}://***@{host}"
