"""Imports every file of operations, so that all of them are declared."""

from keystead.operations import (  # noqa: F401  # importing declares
    attributes,
    certificates,
    ciphers,
    create,
    get,
    grants,
    groups,
    information,
    key_lists,
    lifecycle,
    locate,
    macs,
    measurements,
    module,
    node_state,
    random_numbers,
    register,
    settings,
    users,
)
