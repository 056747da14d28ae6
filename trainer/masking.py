"""Secrets in addresses, masked before anybody reads them.

The one place that knows how a password looks: the other packages write addresses into their errors, too, and this
package depends on none of them.
"""

from __future__ import annotations

import re

# up to the last @ before a space: database URLs may hold passwords with / and @ in them
_USER = re.compile(r"(?<=://)(?:([^\s:/@'\"]*):)?[^\s'\"]*@")
_SECRET = re.compile(
    r"(?i)([\w-]*(?:password|passwd|pwd|secret|token|credential|api_?key|access_?key)[\w-]*=)[^&;\s'\"]+"
)


def redact(text: str) -> str:
    """Return the text with the passwords and tokens of all URIs in it masked; user names with a password stay."""
    text = _SECRET.sub(r"\1***", text)  # first: a password in a query may hold the @ that `_USER` looks for
    return _USER.sub(lambda match: f"{match[1]}:***@" if match[1] else "***@", text)
