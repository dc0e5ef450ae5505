"""The unmodified PyKMIP client lives a key's whole life in each version that it speaks."""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.dev_node import DevNode

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from kmip.core import enums, primitives
    from kmip.core.attributes import Name
    from kmip.core.factories.attributes import AttributeFactory
    from kmip.core.objects import CurrentAttribute, NewAttribute
    from kmip.pie import exceptions, objects
    from kmip.pie.client import ProxyKmipClient

pytestmark = pytest.mark.filterwarnings("ignore")  # its own use of ssl and of old idioms

VERSIONS = list(enums.KMIPVersion)
ENCRYPTING = [version for version in VERSIONS if version >= enums.KMIPVersion.KMIP_1_2]
IV = bytes(range(16))
CBC = {
    "block_cipher_mode": enums.BlockCipherMode.CBC,
    "padding_method": enums.PaddingMethod.PKCS5,
    "cryptographic_algorithm": enums.CryptographicAlgorithm.AES,
}
USES = [enums.CryptographicUsageMask.ENCRYPT, enums.CryptographicUsageMask.DECRYPT]


def connected(node: DevNode, version: Any, user: str = "alice") -> Any:
    who = node.client(user)
    return ProxyKmipClient(
        hostname="127.0.0.1",
        port=node.port,
        cert=str(who.certificate),
        key=str(who.key),
        ca=str(who.authority),
        ssl_version="PROTOCOL_TLSv1_2",
        kmip_version=version,
    )


@pytest.fixture(params=VERSIONS, ids=lambda version: version.name)
def client(node: DevNode, request: pytest.FixtureRequest) -> Iterator[Any]:
    with connected(node, request.param) as made:
        yield made


def named(name: str) -> list[Any]:
    value = Name.create(name, enums.NameType.UNINTERPRETED_TEXT_STRING)
    return [AttributeFactory().create_attribute(enums.AttributeType.NAME, value)]


def new_key(client: Any, name: str) -> str:
    made = client.create(enums.CryptographicAlgorithm.AES, 256, name=name, cryptographic_usage_mask=USES)
    assert isinstance(made, str)
    return made


def states(client: Any, identifier: str) -> list[Any]:
    _, found = client.get_attributes(identifier, ["State"])
    return [attribute.attribute_value.value for attribute in found]


@pytest.mark.row("KS-KMIP-018", "KS-KMIP-022")
def test_a_key_lives_and_dies(client: Any) -> None:
    name = f"life {client.kmip_version.name}"
    identifier = new_key(client, name)
    assert states(client, identifier) == [enums.State.PRE_ACTIVE]
    client.activate(identifier)
    assert states(client, identifier) == [enums.State.ACTIVE]
    assert client.locate(attributes=named(name)) == [identifier]

    key = client.get(identifier)
    assert isinstance(key, objects.SymmetricKey)
    assert (len(key.value), key.cryptographic_algorithm) == (32, enums.CryptographicAlgorithm.AES)

    assert {"Name", "State", "Cryptographic Algorithm", "Initial Date"} <= set(client.get_attribute_list(identifier))
    _, found = client.get_attributes(identifier, ["Name", "Cryptographic Length", "Object Type", "Object Group"])
    told = {attribute.attribute_name.value: attribute.attribute_value for attribute in found}
    assert set(told) == {"Name", "Cryptographic Length", "Object Type"}
    assert told["Name"].name_value.value == name

    client.revoke(enums.RevocationReasonCode.CESSATION_OF_OPERATION, identifier)
    assert states(client, identifier) == [enums.State.DEACTIVATED]
    client.destroy(identifier)
    assert client.locate(attributes=named(name)) == []
    with pytest.raises(exceptions.KmipOperationFailure):
        client.get(identifier)


@pytest.mark.parametrize("version", ENCRYPTING, ids=lambda version: version.name)
def test_data_is_encrypted_and_decrypted(node: DevNode, version: Any) -> None:
    with connected(node, version) as client:
        identifier = new_key(client, f"cipher {version.name}")
        client.activate(identifier)
        for data in (b"clear text", bytes(4096)):
            dark, _ = client.encrypt(data, uid=identifier, cryptographic_parameters=CBC, iv_counter_nonce=IV)
            assert dark != data
            clear = client.decrypt(dark, uid=identifier, cryptographic_parameters=CBC, iv_counter_nonce=IV)
            assert clear == data


def test_encrypt_does_not_exist_before_1_2(node: DevNode) -> None:
    with connected(node, enums.KMIPVersion.KMIP_1_1) as client:
        with pytest.raises(exceptions.KmipOperationFailure) as caught:
            client.encrypt(b"data", uid="any", cryptographic_parameters=CBC, iv_counter_nonce=IV)
        assert caught.value.reason is enums.ResultReason.OPERATION_NOT_SUPPORTED


@pytest.mark.row("KS-KMIP-038", "KS-KMIP-045")
@pytest.mark.parametrize("version", [enums.KMIPVersion.KMIP_1_0, enums.KMIPVersion.KMIP_1_4], ids=lambda v: v.name)
def test_attributes_are_changed_by_index_in_1_x(node: DevNode, version: Any) -> None:
    with connected(node, version) as client:
        identifier = new_key(client, f"before {version.name}")
        (attribute,) = named(f"after {version.name}")
        told, changed = client.modify_attribute(unique_identifier=identifier, attribute=attribute)
        assert (told, changed.attribute_value.name_value.value) == (identifier, f"after {version.name}")
        assert client.locate(attributes=named(f"before {version.name}")) == []
        assert client.locate(attributes=named(f"after {version.name}")) == [identifier]
        _, deleted = client.delete_attribute(unique_identifier=identifier, attribute_name="Name", attribute_index=0)
        assert deleted.attribute_value.name_value.value == f"after {version.name}"
        assert client.locate(attributes=named(f"after {version.name}")) == []


def test_attributes_are_changed_by_value_in_2_0(node: DevNode) -> None:
    with connected(node, enums.KMIPVersion.KMIP_2_0) as client:
        identifier = new_key(client, "grouped")
        first, second = (primitives.TextString(f"group {number}", tag=enums.Tags.OBJECT_GROUP) for number in (1, 2))
        assert client.set_attribute(identifier, attribute_name="Object Group", attribute_value="group 1") == identifier
        client.modify_attribute(
            unique_identifier=identifier,
            current_attribute=CurrentAttribute(attribute=first),
            new_attribute=NewAttribute(attribute=second),
        )
        _, found = client.get_attributes(identifier, ["Object Group"])
        assert [attribute.attribute_value.value for attribute in found] == ["group 2"]
        client.delete_attribute(unique_identifier=identifier, current_attribute=CurrentAttribute(attribute=second))
        assert client.get_attributes(identifier, ["Object Group"])[1] == []


@pytest.mark.row("KS-KMIP-021", "KS-KMIP-047")
def test_secrets_and_opaque_objects_are_kept(client: Any) -> None:
    secret = client.register(objects.SecretData(b"pass phrase", enums.SecretDataType.PASSWORD))
    assert client.get(secret).value == b"pass phrase"
    opaque = client.register(objects.OpaqueObject(b"anything", enums.OpaqueDataType.NONE))
    assert client.get(opaque).value == b"anything"
    key = objects.SymmetricKey(enums.CryptographicAlgorithm.AES, 128, bytes(range(16)), masks=USES, name="registered")
    identifier = client.register(key)
    assert client.get(identifier) == key
    for one in (secret, opaque, identifier):
        client.destroy(one)


@pytest.mark.row("KS-KMIP-048")
def test_nobody_sees_the_keys_of_others(node: DevNode) -> None:
    with (
        connected(node, enums.KMIPVersion.KMIP_1_4) as alice,
        connected(node, enums.KMIPVersion.KMIP_1_4, "bob") as bob,
    ):
        identifier = new_key(alice, "mine")
        assert bob.locate(attributes=named("mine")) == []
        with pytest.raises(exceptions.KmipOperationFailure) as caught:
            bob.get(identifier)
        assert caught.value.reason is enums.ResultReason.ITEM_NOT_FOUND
