"""keystead: a key manager that keeps keys under a root of trust and serves them over KMIP."""

from keystead import acceleration

__version__ = "0.1.0"

acceleration.install()
