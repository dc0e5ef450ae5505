"""Credentials in a message's header: the client certificate alone proves who is asking, they must not contradict it.

A password beside the certificate is neither checked nor kept (KS-KMIP-009). Credentials that prove something by
themselves (one-time and hashed passwords, tickets) are refused, since nothing here can satisfy them.

Source: KMIP 1.4 sections 2.1.2 and 6.6; KMIP 2.1 sections 9.4 and 9.11; requirements KS-KMIP-009, 011.
"""

from keystead.core.errors import Unauthenticated
from keystead.protocols.kmip.translate.fields import LAST, Field, Layout, enumeration, ignored, text
from keystead.protocols.kmip.wire.names import enum_value
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.tags_table import Tag

USERNAME_AND_PASSWORD = enum_value("CredentialType", "UsernameAndPassword")
UNCHECKED = frozenset({enum_value("CredentialType", "Device"), enum_value("CredentialType", "Attestation")})
"""Credentials that describe a machine; they name no user."""

_USER = Layout(Field(Tag.USERNAME, "name", text, required=True), Field(Tag.PASSWORD, "password", ignored))
_CREDENTIAL = Layout(
    Field(Tag.CREDENTIAL_TYPE, "type", enumeration, required=True),
    Field(Tag.CREDENTIAL_VALUE, "value", lambda node: node, required=True),
)
_AUTHENTICATION = Layout(
    Field(Tag.CREDENTIAL, "credentials", lambda node: _CREDENTIAL.read(node, LAST), many=True, required=True)
)


def check_credentials(authentication: Node | None, username: str, *, folds: bool = False) -> None:
    """Check the Authentication structure of a header.

    Args:
        authentication: None when the header has none.
        username: Of the user named by the client certificate; "" when it names none.
        folds: Capital and small letters of names are one, as in a directory.

    Raises:
        Unauthenticated: a credential names somebody else, or is of a kind that cannot be satisfied here.
        Invalid: it cannot be read.
    """
    if authentication is None:
        return
    for credential in _AUTHENTICATION.read(authentication, LAST)["credentials"]:
        if credential["type"] == USERNAME_AND_PASSWORD:
            named = _USER.read(credential["value"], LAST)["name"]
            if (named.lower() if folds else named) != username:
                raise Unauthenticated("the credential names another user than the client certificate; send the same")
        elif credential["type"] not in UNCHECKED:
            raise Unauthenticated("credentials of this type are not used here; the client certificate is enough")
