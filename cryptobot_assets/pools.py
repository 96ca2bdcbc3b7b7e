"""Concurrency pools: what runs share, and how many runs may use it at a time.

A backfill is many runs; those that name a pool wait in the queue until it has room. The limits are
set when a deployment is first opened and kept by Dagster (its page Deployment, Concurrency), where
they can be changed.
"""

EXCHANGE = "exchange"
STORE = "store"
LISTINGS = "listings"
PAPER = "paper"
LIMITS = {EXCHANGE: 1, STORE: 2, LISTINGS: 1, PAPER: 1}
"""Runs at a time. One run alone reads the exchange as fast as its request weight allows."""
