import threading
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.changes import SealedMaterial
from keystead.core.errors import Internal, Tampered, Unavailable
from keystead.core.secret import Secret
from keystead.trust.keyring import Keyring
from keystead.trust.locked_memory import LockedSecret
from keystead.trust.material import Place, binding
from keystead.trust.modules import Module, ModuleSettings
from keystead.trust.root import Role
from tests.support.modules import Bench

SECRET = Secret(b"canary key bytes, 32 of them....")


def a_place(version: int = 1) -> Place:
    return Place("root", "object", str(uuid.uuid4()), str(uuid.uuid4()), version)


def a_keyring(module: Module, cipher_count_max: int = 100) -> Keyring:
    keyring = Keyring(module, {}, cipher_count_max)
    keyring.add_realm("root", keyring.new_realm_key("root"))
    return keyring


@pytest.fixture
def module() -> Module:
    return Bench(ModuleSettings(activation_window_s=60)).unlocked()


def opened(keyring: Keyring, place: Place, material: SealedMaterial) -> bytes:
    return keyring.open(place.realm, place.kind, place.object_id, material).reveal()


@pytest.fixture(params=[False, True], ids=["cache off", "cache on"])
def keyring(request: pytest.FixtureRequest, module: Module) -> Keyring:
    module.set_key_cache(enabled=request.param)
    return a_keyring(module)


def test_sealed_material_opens_and_shows_nothing(keyring: Keyring) -> None:
    place = a_place()
    material = keyring.seal(place, SECRET)
    assert (material.id, material.version) == (place.material_id, 1)
    assert SECRET.reveal() not in material.sealed
    assert keyring.seal(place, SECRET).sealed != material.sealed
    for _ in range(2):  # the second time from what is held
        assert opened(keyring, place, material) == SECRET.reveal()


@pytest.mark.parametrize("field", range(5), ids=Place._fields)
def test_material_moved_elsewhere_does_not_open(keyring: Keyring, field: int) -> None:
    keyring.add_realm("other", keyring.new_realm_key("other"))
    place = a_place()
    material = keyring.seal(place, SECRET)
    assert opened(keyring, place, material) == SECRET.reveal()
    elsewhere = Place("other", "user", str(uuid.uuid4()), str(uuid.uuid4()), 2)
    other = Place._make(elsewhere[at] if at == field else place[at] for at in range(5))
    moved = SealedMaterial(other.material_id, other.version, material.sealed)
    for _ in range(2):
        with pytest.raises(Tampered):
            opened(keyring, other, moved)


def test_changed_or_cut_material_does_not_open(keyring: Keyring) -> None:
    place = a_place()
    material = keyring.seal(place, SECRET)
    for position in range(len(material.sealed)):
        changed = bytearray(material.sealed)
        changed[position] ^= 0x80
        with pytest.raises(Tampered):
            opened(keyring, place, SealedMaterial(material.id, material.version, bytes(changed)))
    for length in range(len(material.sealed)):
        with pytest.raises(Tampered):
            opened(keyring, place, SealedMaterial(material.id, material.version, material.sealed[:length]))


names = st.text(st.characters(codec="utf-8"), max_size=6) | st.text("|:1", max_size=6)
places = st.builds(Place, names, names, names, names, st.integers(0, 99))


@given(places, places)
def test_no_two_places_are_bound_alike(one: Place, other: Place) -> None:
    assert (binding(one) == binding(other)) == (one == other)


@pytest.mark.row("KS-HSM-050", "KS-HSM-051")
def test_keys_are_held_only_with_the_cache_on_and_the_crypto_user_in(module: Module) -> None:
    keyring = a_keyring(module)
    place = a_place()
    material = keyring.seal(place, SECRET)

    def holds() -> bool:
        opened(keyring, place, material)
        return keyring.holds_keys()

    assert not holds()
    module.set_key_cache(enabled=True)
    assert not keyring.holds_keys()
    assert holds()
    for lock, unlock in (
        (module.deactivate, module.activate),
        (lambda: module.set_key_cache(enabled=False), lambda: module.set_key_cache(enabled=True)),
    ):
        lock()
        assert not keyring.holds_keys()
        unlock()
        assert holds()


@pytest.mark.row("KS-HSM-005", "KS-HSM-051")
def test_a_locked_module_opens_and_seals_nothing(module: Module, keyring: Keyring) -> None:
    place = a_place()
    material = keyring.seal(place, SECRET)
    opened(keyring, place, material)
    keyring.check()
    module.logout(Role.CRYPTO_USER)
    for call in (
        lambda: opened(keyring, place, material),
        lambda: keyring.seal(place, SECRET),
        lambda: keyring.new_realm_key("x"),
        keyring.check,
    ):
        with pytest.raises(Unavailable):
            call()


def test_ready_ciphers_are_bounded(module: Module) -> None:
    module.set_key_cache(enabled=True)
    keyring = a_keyring(module, cipher_count_max=3)
    sealed = [(place, keyring.seal(place, SECRET)) for place in (a_place() for _ in range(8))]
    for _ in range(2):
        for place, material in sealed:
            assert opened(keyring, place, material) == SECRET.reveal()
            assert keyring.cipher_count() <= 3
    assert keyring.cipher_count() == 3


def test_an_unknown_realm_is_a_mistake_of_ours(keyring: Keyring) -> None:
    with pytest.raises(Internal, match="there is no key-encryption key"):
        keyring.seal(a_place()._replace(realm="nowhere"), SECRET)


def test_realms_are_loaded_when_needed_and_forgotten_when_they_change(module: Module) -> None:
    module.set_key_cache(enabled=True)
    wrapped = Keyring(module, {}).new_realm_key("root")
    loads: list[str] = []

    def load() -> dict[str, bytes]:
        loads.append("load")
        return {"root": wrapped}

    keyring = Keyring(module, load)
    assert not loads
    place = a_place()
    material = keyring.seal(place, SECRET)
    opened(keyring, place, material)
    assert len(loads) == 1
    assert keyring.holds_keys()
    keyring.forget()
    assert not keyring.holds_keys()
    assert opened(keyring, place, material) == SECRET.reveal()
    assert len(loads) == 2


def test_a_realms_key_serves_no_other_realm(keyring: Keyring) -> None:
    keyring.add_realm("other", keyring.new_realm_key("root"))
    with pytest.raises(Tampered):
        keyring.seal(a_place()._replace(realm="other"), SECRET)


def test_locking_amid_traffic_ends_in_clean_refusals(module: Module) -> None:
    module.set_key_cache(enabled=True)
    keyring = a_keyring(module, cipher_count_max=2)
    sealed = [(place, keyring.seal(place, SECRET)) for place in (a_place() for _ in range(4))]
    stop = threading.Event()
    wrong: list[BaseException] = []

    def serve() -> None:
        while not stop.is_set():
            for place, material in sealed:
                try:
                    assert opened(keyring, place, material) == SECRET.reveal()
                except Unavailable:
                    continue
                except BaseException as error:
                    wrong.append(error)
                    raise

    threads = [threading.Thread(target=serve) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        module.deactivate()
        assert not keyring.holds_keys()
        module.activate()
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.row("KS-HSM-050")
def test_locked_memory_is_masked_locked_and_wiped() -> None:
    held = LockedSecret(SECRET)
    assert held.reveal() == SECRET.reveal()
    assert SECRET.reveal() not in bytes(held._value)  # the page itself is the point
    assert held.locked
    assert repr(held) == "LockedSecret(redacted)"
    held.wipe()
    held.wipe()
    with pytest.raises(ValueError, match="closed"):
        held.reveal()
