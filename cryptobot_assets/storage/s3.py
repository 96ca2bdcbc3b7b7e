"""How a lake reaches S3. Credentials, region and endpoint are AWS's own variables (`AWS_*`)."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

COMMIT_WITHOUT_LOCKS = {"aws_conditional_put": "etag"}
"""A commit is a put that fails when its number is taken (`If-None-Match: *`), so writers need no lock table."""


def is_s3(url: str) -> bool:
    """Whether a lake lies in a bucket."""
    return url.startswith("s3://")


def s3_options(endpoint: str | None) -> dict[str, str]:
    """Options of a lake on S3; unencrypted HTTP is for an endpoint on this machine, unless AWS_ALLOW_HTTP says more."""
    plain = endpoint is not None and endpoint.startswith("http://") and is_here(endpoint)
    return COMMIT_WITHOUT_LOCKS | ({"aws_allow_http": "true"} if plain else {})


def is_here(endpoint: str) -> bool:
    """Whether an address is one of this machine alone."""
    host = urlsplit(endpoint).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
