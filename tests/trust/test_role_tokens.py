from dataclasses import replace

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.core.errors import DeviceFault, Invalid, Refused
from keystead.core.secret import Secret
from keystead.trust.role_tokens import (
    INSECURE_COST,
    STANDARD_COST,
    Argon2Cost,
    RoleToken,
    change_pin,
    duplicate,
    imprint,
    new_role_secret,
    pin,
    unlock,
)
from keystead.trust.root import Role
from tests.support.modules import Bench

PINS = tuple(pin(f"{n}{n}{n}{n}") for n in range(1, 6))


def tokens(secret: Secret, threshold: int = 1, count: int = 1, role: Role = Role.CRYPTO_USER) -> tuple[RoleToken, ...]:
    return imprint(role, secret, PINS[:count], threshold, INSECURE_COST)


def test_a_token_gives_its_secret_under_its_pin() -> None:
    secret = new_role_secret()
    token = RoleToken.from_bytes(tokens(secret)[0].to_bytes())
    assert unlock(Role.CRYPTO_USER, [(token, PINS[0])]).matches(secret)


@pytest.mark.row("KS-HSM-009", "KS-HSM-010")
def test_a_token_holds_its_secret_under_its_own_pin_only() -> None:
    secret = new_role_secret()
    first, second = tokens(secret, 1, 2)
    for token in (first, second):
        assert secret.reveal() not in token.to_bytes()
    assert first.share.value != second.share.value
    assert not unlock(Role.CRYPTO_USER, [(first, PINS[1])]).matches(secret)
    assert unlock(Role.CRYPTO_USER, [(second, PINS[1])]).matches(secret)


@pytest.mark.row("KS-HSM-011")
def test_a_token_cannot_tell_a_wrong_pin_only_the_module_can() -> None:
    bench = Bench()
    module = bench.unlocked()
    token = tokens(bench.crypto_user)[0]
    wrong = unlock(Role.CRYPTO_USER, [(token, pin("0000"))])  # gives 32 bytes like any other, and no error
    assert len(wrong) == 32
    with pytest.raises(Refused, match="9 attempts"):
        module.login(Role.CRYPTO_USER, wrong)
    module.login(Role.CRYPTO_USER, unlock(Role.CRYPTO_USER, [(token, PINS[0])]))
    assert module.status().attempts_left[Role.CRYPTO_USER] == 10


@pytest.mark.row("KS-HSM-012", "KS-HSM-023")
def test_a_role_split_m_of_n_opens_with_any_m_while_others_are_whole() -> None:
    bench = Bench()
    bench.unlocked()
    split = tokens(bench.crypto_user, 3, 5)
    whole = tokens(bench.domain, role=Role.DOMAIN)
    presented = [(split[i], PINS[i]) for i in (4, 0, 2)]
    restarted = bench.module()
    restarted.login(Role.CRYPTO_USER, unlock(Role.CRYPTO_USER, presented))
    other = Bench(domain=unlock(Role.DOMAIN, [(whole[0], PINS[0])]))  # one domain token for several modules
    other.module().initialise(other.security_officer, other.domain)
    assert other.module().create_partition(other.partition_request(restarted.export_partition()))


def test_one_wrong_pin_of_several_is_not_pointed_at() -> None:
    secret = new_role_secret()
    first, second = tokens(secret, 2, 2)
    assert not unlock(Role.CRYPTO_USER, [(first, PINS[0]), (second, PINS[0])]).matches(secret)


@pytest.mark.row("KS-HSM-014", "KS-HSM-016")
def test_a_duplicate_logs_in_like_its_original() -> None:
    bench = Bench()
    module = bench.unlocked()
    original = tokens(bench.crypto_user)[0]
    spare = RoleToken.from_bytes(duplicate(original).to_bytes())
    assert spare.serial != original.serial
    module.deactivate()
    module.login(Role.CRYPTO_USER, unlock(Role.CRYPTO_USER, [(spare, PINS[0])]))
    assert module.status().activated


def test_a_duplicate_counts_as_its_original() -> None:
    first, _ = tokens(new_role_secret(), 2, 2)
    with pytest.raises(Invalid, match="twice"):
        unlock(Role.CRYPTO_USER, [(first, PINS[0]), (duplicate(first), PINS[0])])


def test_another_pin_for_the_same_secret() -> None:
    secret = new_role_secret()
    old = tokens(secret)[0]
    new = change_pin(old, PINS[0], pin("correct horse battery"), INSECURE_COST)
    assert unlock(Role.CRYPTO_USER, [(new, pin("correct horse battery"))]).matches(secret)
    assert not unlock(Role.CRYPTO_USER, [(new, PINS[0])]).matches(secret)
    assert new.salt != old.salt


@pytest.mark.row("KS-HSM-013")
def test_a_key_set_is_used_again_on_new_tokens() -> None:
    secret = new_role_secret()
    taken = unlock(Role.CRYPTO_USER, [(tokens(secret)[0], PINS[0])])
    again = imprint(Role.CRYPTO_USER, taken, PINS[1:4], 2, INSECURE_COST)
    assert unlock(Role.CRYPTO_USER, [(again[0], PINS[1]), (again[2], PINS[3])]).matches(secret)


def test_tokens_that_do_not_belong_are_named_before_any_work() -> None:
    dear = Argon2Cost(1 << 20, 64, 4)  # would take minutes
    mine, other = (imprint_cheaply_but_claim(new_role_secret(), dear) for _ in range(2))
    with pytest.raises(Invalid, match="the domain token is needed, a crypto-user token was presented"):
        unlock(Role.DOMAIN, [(mine[0], PINS[0])])
    with pytest.raises(Invalid, match="different sets"):
        unlock(Role.CRYPTO_USER, [(mine[0], PINS[0]), (other[1], PINS[1])])
    with pytest.raises(Invalid, match="2 shares of this set are needed, 1"):
        unlock(Role.CRYPTO_USER, [(mine[0], PINS[0])])
    with pytest.raises(Invalid, match="no share"):
        unlock(Role.CRYPTO_USER, [])


def imprint_cheaply_but_claim(secret: Secret, cost: Argon2Cost) -> list[RoleToken]:
    return [replace(token, cost=cost) for token in tokens(secret, 2, 2)]


@pytest.mark.row("KS-HSM-010")
@pytest.mark.parametrize("text", ["1234", "9" * 48, "Zauberwort", "pass phrase with spaces", "1234x", "日本語の"])
def test_pins_and_passphrases(text: str) -> None:
    assert pin(text).reveal() == text.encode()


@pytest.mark.row("KS-HSM-010")
@pytest.mark.parametrize("text", ["", "123", "9" * 49, "abc", "a" * 257, "four\x00", "tab\there", "line\nfeed"])
def test_pins_that_are_refused_are_not_repeated(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        pin(text)
    assert not text or text not in str(caught.value)


def test_a_passphrase_typed_in_another_form_is_the_same() -> None:
    assert pin("cafe\u0301!").matches(pin("caf\u00e9!"))
    assert not pin("caf\u00e9!").matches(pin("cafe!"))
    assert pin("\uff11\uff12\uff13\uff14").reveal() != b"1234"  # other digits than ASCII's are a passphrase


def test_the_standard_cost_is_the_recommended_one() -> None:
    assert Argon2Cost(64 * 1024, 3, 4) == STANDARD_COST
    token = imprint(Role.SECURITY_OFFICER, secret := new_role_secret(), [PINS[0]])[0]
    assert token.cost == STANDARD_COST
    assert unlock(Role.SECURITY_OFFICER, [(token, PINS[0])]).matches(secret)


TOKEN = tokens(new_role_secret(), 2, 3)[1].to_bytes()


def test_any_flipped_bit_of_a_token_is_found() -> None:
    for position in range(len(TOKEN) * 8):
        flipped = bytearray(TOKEN)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises((DeviceFault, Invalid)):
            RoleToken.from_bytes(bytes(flipped))


@given(st.binary(max_size=200) | st.integers(0, len(TOKEN) - 1).map(lambda n: TOKEN[:n]))
def test_foreign_bytes_are_no_token(data: bytes) -> None:
    with pytest.raises((DeviceFault, Invalid)):
        RoleToken.from_bytes(data)


@given(
    st.sampled_from(sorted(cbor2.loads(TOKEN))),
    st.none() | st.integers() | st.text(max_size=4) | st.binary(max_size=40) | st.lists(st.integers(), max_size=4),
)
def test_a_token_of_odd_fields_is_refused(name: str, value: object) -> None:
    fields = {**cbor2.loads(TOKEN), name: value}
    data = cbor2.dumps(fields, canonical=True)
    if data == TOKEN:
        return
    with pytest.raises((DeviceFault, Invalid)):
        RoleToken.from_bytes(data)


def test_a_token_of_a_newer_version_says_so() -> None:
    with pytest.raises(Invalid, match="newer version"):
        RoleToken.from_bytes(cbor2.dumps({**cbor2.loads(TOKEN), "version": 2}, canonical=True))


def test_a_forged_token_cannot_ask_for_the_machine() -> None:
    for cost in [(1 << 21, 1, 1), (32, 65, 1), (32, 1, 5), (8, 1, 1), (32, 0, 1)]:
        with pytest.raises(Invalid, match="unreasonable"):
            RoleToken.from_bytes(cbor2.dumps({**cbor2.loads(TOKEN), "kdf": ["argon2id", *cost]}, canonical=True))


def test_secrets_of_another_length_are_refused() -> None:
    with pytest.raises(Invalid, match="32 bytes"):
        imprint(Role.DOMAIN, Secret(b"short"), [PINS[0]])
    with pytest.raises(Invalid, match="M must be"):
        imprint(Role.DOMAIN, new_role_secret(), [])


def test_nothing_secret_in_what_is_shown() -> None:
    token = tokens(new_role_secret())[0]
    shown = repr(token) + token.describe() + repr(Bench().partition_request())
    assert "redacted" in shown
    assert token.share.value.hex() not in shown
    assert repr(token.share.value) not in shown
    assert token.serial.hex() in token.describe()
