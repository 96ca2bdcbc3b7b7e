"""Licences of everything installed beside the platform, held to those that may be used and passed on with it.

    .venv/bin/python deploy/licences.py [--all]

Reads what each package says of itself: its licence expression, else its classifiers, else the first line of its
licence. Exits with 1 and names each package whose licence is not among those allowed; `--all` lists all of them.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions

ALLOWED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CNRI-Python", "HPND", "ISC", "MIT", "MIT-0", "MIT-CMU",
    "MPL-2.0", "PSF-2.0", "Python-2.0", "Unlicense", "Zlib", "CC0-1.0", "BSL-1.0", "PostgreSQL",
}  # fmt: skip
"""SPDX names. MPL-2.0 asks for changes to its own files alone, of which there are none."""

SAID = {
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "apache software license 2.0": "Apache-2.0",
    "apache-2": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause",
    "new bsd license": "BSD-3-Clause",
    "modified bsd": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "the mit license": "MIT",
    "the mit license (mit)": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "mpl 2.0": "MPL-2.0",
    "mpl v2": "MPL-2.0",
    "psf": "PSF-2.0",
    "python software foundation license": "PSF-2.0",
    "the unlicense (unlicense)": "Unlicense",
    "zlib": "Zlib",
}
"""What packages write instead, in small letters, and what they mean by it."""


def main() -> int:
    """Look at every package of the environment that runs this."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--all", action="store_true", help="list every package with its licence")
    everything = options.parse_args().all
    refused = 0
    for name, licence in sorted(installed()):
        fine = name in EXCEPTIONS or is_allowed(licence)
        refused += not fine
        if everything or not fine:
            print(f"{'' if fine else 'not allowed: '}{name}: {licence or 'says nothing'}")
    return 1 if refused else 0


def installed() -> Iterator[tuple[str, str]]:
    """Name and licence of every package."""
    for package in distributions():
        yield re.sub("[-_.]+", "-", package.metadata["Name"]).lower(), licence_of(package)


def licence_of(package: Distribution) -> str:
    """What a package says of its licence, as an SPDX expression where it can be told; empty when it says nothing."""
    said = package.metadata
    if expression := said.get("License-Expression"):
        return expression
    named = [one.split(" :: ")[-1] for one in said.get_all("Classifier") or () if one.startswith("License :: ")]
    meant = [meaning(one) for one in named if one != "OSI Approved"]
    first = next((line for line in (said.get("License") or "").splitlines() if line.strip()), "")
    return " AND ".join(dict.fromkeys(meant)) or meaning(first)


def meaning(text: str) -> str:
    """The SPDX name of what a package wrote, or what it wrote."""
    plain = " ".join(text.replace(",", " ").split())
    return SAID.get(plain.lower(), plain)


def is_allowed(expression: str) -> bool:
    """Whether an SPDX expression can be kept with allowed licences alone: all of `AND`, one of `OR`.

    >>> is_allowed("MIT OR GPL-3.0-only"), is_allowed("(MIT AND GPL-3.0-only)"), is_allowed("")
    (True, False, False)
    """
    plain = re.sub(r"\s+WITH\s+\S+", "", expression.replace("(", " ").replace(")", " "))
    return any(
        all(part.strip() in ALLOWED for part in re.split(r"\bAND\b", choice)) for choice in re.split(r"\bOR\b", plain)
    )


EXCEPTIONS = {
    "arch": "NCSA, the University of Illinois' licence: MIT and BSD in one",
    "aiohttp-asgi-connector": "BSD-3-Clause-Clear says no more than that no patents are granted; for tests alone",
    "cryptobot-assets": "the platform itself",
    "huey": "its metadata says nothing; the licence file is MIT. Comes with MLflow",
    "nvidia-nccl-cu12": "NVIDIA's own; comes with XGBoost on Linux, is never used, and is taken out of the image",
    "nvidia-nccl-cu13": "as nvidia-nccl-cu12",
    "psycopg2-binary": "LGPL with exceptions: used as it is, as a library of its own that can be exchanged",
    "pytest-timeout": "MIT, beside a classifier that names no licence; for tests alone",
    "skops": "its metadata says nothing; the licence file is MIT. Comes with MLflow",
}
"""Packages whose licence is not among those allowed or not told, and why they are used all the same."""


if __name__ == "__main__":
    sys.exit(main())
