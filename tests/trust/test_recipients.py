import itertools
from typing import Any

import cbor2
import pytest

from keystead.core.errors import Invalid, KeysteadError, Refused
from keystead.core.secret import Secret
from keystead.trust import recipients
from keystead.trust.recipients import (
    Identity,
    PaperShares,
    Passphrase,
    Plain,
    Quorum,
    Recipient,
    RecipientKey,
    RecipientSecret,
    Shares,
    Stanza,
    file_key_from,
    open_share,
)
from keystead.trust.shares import Share

KEY = Secret(bytes(range(32)))
CONTEXT = b"an envelope"
OWNER, STRANGER = RecipientSecret.generate(), RecipientSecret.generate()
CUSTODIANS = [RecipientSecret.generate() for _ in range(5)]


def word(text: str) -> Passphrase:
    return Passphrase(Secret(text.encode()))


def through_bytes(stanza: Stanza) -> Stanza:
    kind, fields = cbor2.loads(cbor2.dumps([stanza.kind, stanza.fields], canonical=True))
    return Stanza(kind, fields)


def opens(identity: Identity, stanza: Stanza, context: bytes = CONTEXT) -> bool:
    found = identity.unwrap(stanza, context)
    return found is not None and found.matches(KEY)


@pytest.mark.parametrize(
    ("recipient", "identity"), [(word("correct horse"), word("correct horse")), (OWNER.key, OWNER)]
)
def test_who_it_is_wrapped_for_opens_it(recipient: Recipient, identity: Identity) -> None:
    assert opens(identity, through_bytes(recipient.wrap(KEY, CONTEXT)))


@pytest.mark.parametrize(("recipient", "identity"), [(word("right"), word("wrong")), (word("right"), word("righ"))])
def test_another_passphrase_is_refused(recipient: Recipient, identity: Identity) -> None:
    with pytest.raises(Refused, match="wrong"):
        identity.unwrap(recipient.wrap(KEY, CONTEXT), CONTEXT)


@pytest.mark.parametrize("recipient", [word("right"), OWNER.key, PaperShares(2, 3), Quorum(1, [OWNER.key])])
def test_nothing_is_for_a_stranger(recipient: Recipient) -> None:
    assert STRANGER.unwrap(recipient.wrap(KEY, CONTEXT), CONTEXT) is None


@pytest.mark.parametrize(("recipient", "identity"), [(word("right"), word("right")), (OWNER.key, OWNER)])
def test_a_stanza_of_another_envelope_does_not_open(recipient: Recipient, identity: Identity) -> None:
    with pytest.raises(Refused):
        identity.unwrap(recipient.wrap(KEY, CONTEXT), b"another envelope")


@pytest.mark.parametrize(
    "cost", [[2**21, 3, 4], [65536, 17, 4], [65536, 3, 17], [0, 3, 4], [8, 1, 2], [1, 2], "x", [b"1", 2, 3]]
)
def test_costs_beyond_the_limits_are_refused_before_they_are_paid(cost: Any) -> None:
    stanza = word("right").wrap(KEY, CONTEXT)
    stanza.fields["cost"] = cost
    with pytest.raises(Invalid):
        word("right").unwrap(stanza, CONTEXT)


@pytest.mark.parametrize("length_bytes", [0, recipients.PASSPHRASE_BYTES_MAX + 1])
def test_passphrases_are_neither_empty_nor_endless(length_bytes: int) -> None:
    with pytest.raises(Invalid):
        Passphrase(Secret(bytes(length_bytes)))


def test_any_m_shares_on_paper_open_it_and_fewer_do_not() -> None:
    paper = PaperShares(3, 5)
    stanza = through_bytes(paper.wrap(KEY, CONTEXT))
    for chosen in itertools.combinations(paper.made, 3):
        assert opens(Shares(chosen), stanza)
    for count in (2, 4):
        with pytest.raises(Invalid):
            Shares(paper.made[:count]).unwrap(stanza, CONTEXT)


def test_shares_of_another_envelope_are_not_taken_for_its_own() -> None:
    mine, others = PaperShares(2, 2), PaperShares(2, 2)
    stanza = mine.wrap(KEY, CONTEXT)
    others.wrap(KEY, CONTEXT)
    assert Shares(others.made).unwrap(stanza, CONTEXT) is None
    assert Shares(()).unwrap(stanza, CONTEXT) is None


def test_forged_shares_are_refused() -> None:
    paper = PaperShares(2, 2)
    stanza = paper.wrap(KEY, CONTEXT)
    first = paper.made[0]
    forged = Share(first.set_id, 2, first.threshold, first.count, bytes(32))
    with pytest.raises(Refused):
        Shares((first, forged)).unwrap(stanza, CONTEXT)


def test_any_m_custodians_open_it_each_with_a_key_of_their_own() -> None:
    quorum = Quorum(2, [custodian.key for custodian in CUSTODIANS])
    stanza = through_bytes(quorum.wrap(KEY, CONTEXT))
    for chosen in itertools.combinations(CUSTODIANS, 2):
        assert opens(Shares([open_share(stanza, custodian, CONTEXT) for custodian in chosen]), stanza)
    with pytest.raises(Refused, match="custodian"):
        open_share(stanza, STRANGER, CONTEXT)


def test_a_custodians_share_is_bound_to_its_place_and_envelope() -> None:
    stanza = Quorum(2, [custodian.key for custodian in CUSTODIANS]).wrap(KEY, CONTEXT)
    with pytest.raises(Refused):
        open_share(stanza, CUSTODIANS[0], b"another envelope")
    entries: Any = stanza.fields["custodians"]
    stanza.fields["custodians"] = [entries[-1], *entries[:-1]]
    with pytest.raises(Refused):
        open_share(stanza, CUSTODIANS[0], CONTEXT)


def test_the_fingerprint_of_a_quorum_is_of_m_and_its_members_in_any_order() -> None:
    keys = [custodian.key for custodian in CUSTODIANS]
    assert Quorum(2, keys).fingerprint == Quorum(2, keys[::-1]).fingerprint
    assert len({quorum.fingerprint for quorum in (Quorum(2, keys), Quorum(3, keys), Quorum(2, keys[1:]))}) == 3


def test_a_quorum_names_nobody_twice_and_has_enough_members() -> None:
    with pytest.raises(Invalid, match="twice"):
        Quorum(1, [OWNER.key, OWNER.key])
    with pytest.raises(Invalid):
        Quorum(2, [OWNER.key])


@pytest.mark.parametrize("custodians", [None, 7, [[1]], [["x", b"y"]]])
def test_broken_stanzas_of_custodians_are_refused(custodians: Any) -> None:
    stanza = Quorum(1, [OWNER.key]).wrap(KEY, CONTEXT)
    stanza.fields["custodians"] = custodians
    with pytest.raises((Invalid, Refused)):
        open_share(stanza, OWNER, CONTEXT)


@pytest.mark.parametrize("value", [None, 5, "text", [b"x"]])
@pytest.mark.parametrize("name", ["wrapped", "salt"])
def test_fields_of_other_kinds_are_refused(name: str, value: Plain) -> None:
    stanza = word("right").wrap(KEY, CONTEXT)
    stanza.fields[name] = value
    with pytest.raises(Invalid, match=name):
        word("right").unwrap(stanza, CONTEXT)


def test_the_first_identity_that_fits_gives_the_key_and_the_last_refusal_says_why() -> None:
    stanzas = [word("right").wrap(KEY, CONTEXT), OWNER.key.wrap(KEY, CONTEXT)]
    assert file_key_from(stanzas, [word("wrong"), STRANGER, OWNER], CONTEXT).matches(KEY)
    with pytest.raises(Refused, match="passphrase is wrong"):
        file_key_from(stanzas, [word("wrong"), STRANGER], CONTEXT)
    with pytest.raises(Refused, match="recipient"):
        file_key_from(stanzas, [STRANGER], CONTEXT)
    with pytest.raises(KeysteadError):
        file_key_from(stanzas, [], CONTEXT)


@pytest.mark.parametrize("length_bytes", [0, 95, 97, 1215, 1217])
def test_recipients_keys_of_other_lengths_are_refused(length_bytes: int) -> None:
    with pytest.raises(Invalid):
        RecipientKey(bytes(length_bytes))
    with pytest.raises(Invalid):
        RecipientSecret(Secret(bytes(length_bytes)))


def test_a_recipient_comes_back_from_its_secret() -> None:
    assert opens(RecipientSecret(OWNER.secret), OWNER.key.wrap(KEY, CONTEXT))
    assert RecipientKey(OWNER.key.encoded).id == OWNER.key.id
