"""Imports every file of operations, so that all of them are declared."""

from keystead.operations import (  # noqa: F401  # importing declares
    attributes,
    certificates,
    checks,
    ciphers,
    create,
    derivations,
    get,
    grants,
    information,
    key_pairs,
    lifecycle,
    locate,
    macs,
    module,
    random_numbers,
    register,
    replacements,
    settings,
    signatures,
    users,
)
