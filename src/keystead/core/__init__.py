"""The rules of keystead: pure functions and plain values, no IO, no clock, no randomness, no logging.

`now`, identifiers and secrets come in as arguments. Times are UTC microseconds since 1970 (int).
"""
