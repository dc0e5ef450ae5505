"""The door: everything anyone does passes `Gate.run`, which loads, authorises, limits, runs, commits and audits.

Source: design.md law 2; docs/adr/0001.
"""
