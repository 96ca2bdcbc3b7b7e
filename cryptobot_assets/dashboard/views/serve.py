"""Streamlit, with what the pages import loaded before it answers: the first look is then as quick as the next."""

from __future__ import annotations

import sys
from importlib import import_module

AHEAD = ("judging", "health", "drifting", "champions", "figures_skill", "figures_drift", "service")
"""Modules of the dashboard that need nothing of Streamlit, and import all that takes seconds."""


def main() -> None:
    """Run Streamlit's command line with our arguments."""
    for name in AHEAD:
        import_module(f"cryptobot_assets.dashboard.{name}")
    from streamlit.web.cli import main as streamlit

    sys.exit(streamlit(prog_name="streamlit"))


if __name__ == "__main__":
    main()
