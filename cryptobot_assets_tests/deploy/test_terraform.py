"""What of Terraform its files alone tell; `make checks` tries its form and its arithmetic with Terraform itself."""

from __future__ import annotations

import re
from pathlib import Path

TERRAFORM = Path(__file__).resolve().parents[2] / "deploy" / "terraform"


def test_every_variable_and_output_says_what_it_is() -> None:
    blocks = re.compile(r'^(variable|output) "(\w+)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)
    silent = [
        f"{path.relative_to(TERRAFORM)}: {kind} {name}"
        for path in TERRAFORM.rglob("*.tf")
        for kind, name, body in blocks.findall(path.read_text())
        if "  description = " not in re.sub(" +=", " =", body)
    ]
    assert silent == []


def test_no_secret_is_written_into_the_state() -> None:
    """Passwords on AWS are made by AWS or written past the state; nothing takes one as a variable."""
    written = "\n".join(path.read_text() for path in (TERRAFORM / "aws").rglob("*.tf"))
    assert not re.search(r"^\s*(secret_string|master_password)\s*=", written, re.MULTILINE)
    assert not re.search(r'^resource "random_password"', written, re.MULTILINE)


def test_what_is_argued_is_argued() -> None:
    """A scanner's finding may be left with a reason that says something."""
    skips = [
        line.strip()
        for path in TERRAFORM.rglob("*.tf")
        for line in path.read_text().splitlines()
        if "checkov:skip" in line
    ]
    assert skips
    assert [line for line in skips if not re.fullmatch(r"#checkov:skip=CKV2?_\w+_\d+:.{9,}\.", line)] == []


def test_the_runbook_knows_every_alarm() -> None:
    told = (TERRAFORM / "aws" / "modules" / "watch" / "alarms.tf").read_text()
    others = told[told.index("  others = {") : told.index("  alarms = merge(")]
    alarms = {f"SERVICE-{kind}" for kind in re.findall(r'"\$\{name\}-(\w+)" =>', told)}
    alarms |= set(re.findall(r"^    ([\w-]+) = \{$", others, re.MULTILINE))
    runbook = (TERRAFORM.parents[1] / "docs" / "runbook.md").read_text()
    table = runbook[runbook.index("## Alarms of AWS") : runbook.index("## Restore drill")]
    assert set(re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)) == alarms
