"""What is secret, or keyed with a secret, is never compared in a time that depends on how much of it is right.

Attack class 33. `==`, `!=` and `in` stop at the first difference; hmac.compare_digest and Secret.matches do not.
"""

import ast
import re
from collections.abc import Iterator

import pytest

from keystead.core.secret import Secret
from tests.surface.sources import in_package, python_files, tree

NAMED = re.compile(
    r"(^|_)(mac|hmac|pin|password|secret|token|digest|verifier|checksum|signature|kek|material)$|(^|_)key_bytes$"
)
"""Variables and attributes that hold what may be secret. Key and tag mean too much else: what makes them is found."""

MADE = re.compile(
    r"(mac|digest|hexdigest|finalize|reveal|verifier|checksum|chain|leaf|derive|unseal|unwrap|key_unwrap)$"
)
"""Functions that make it."""

HARMLESS: dict[tuple[str, str], str] = {
    (
        "custody/drives/sets.py",
        "files.digest_from_medium(found.folder / ENVELOPE_FILE) != (manifest.envelope_bytes, manifest.envelope_digest)",
    ): "digests of a drive's files, which its holder can compute",
    (
        "custody/drives/sets.py",
        "told != (manifest.envelope_bytes, manifest.envelope_digest)",
    ): "digests of a drive's files, which its holder can compute",
    ("custody/safeguard/registrations.py", "found['request'] != digest"): "the digest of a request, which is no secret",
    ("custody/safeguard/folder_depot.py", "hashlib.sha256(data).digest() != ref.id"): "digests of ciphertext",
    ("clients/backup/snapshots.py", "hashlib.sha256(data).digest() != ref.id"): "digests of ciphertext",
    ("acceleration.py", "digest_of(PACKAGE / source) == digest"): "digests of sources, which anyone may read",
    ("storage/verify_records.py", "row.mac != entry.mac"): "both are read from the file that is being judged",
    ("storage/verify_trails.py", "last.digest != end.digest"): "likewise",
    ("storage/verify_trails.py", "digest != self.witness.digest"): "likewise",
    ("gate/objects.py", "before.record.material != record.material"): "which material it is, as every record says",
    ("gate/leases.py", "[self._token, claim.revision] in counter.fields['recent']"): "a lease's name, told to nobody",
    ("protocols/rest/once.py", "held.digest != digest"): "of what the asker has sent, without a key",
    ("operations/approvals.py", "request.hash.lower() != asked.digest().hex()"): "shown to everybody who may approve",
    ("operations/approvals.py", "digest == asked.digest()"): "likewise",
    ("operations/approval_records.py", "asked.digest() != fields['hash']"): "likewise",
    ("core/des_keys.py", "with_odd_parity(material) != material"): "whether the asker's own key has its parity",
    ("gate/sessions.py", "digest in self._held"): "a table's key; the digest of a token tells nothing of it",
    ("trust/node_key.py", "checksum != _checksum(line)"): "a typing error's checksum, without a key, in a file of ours",
    ("trust/role_tokens.py", "token.to_bytes() == data"): "whether a token's file is whole; its secret is masked",
    ("trust/signatures.py", "wanted.signature == RSASSA_PSS"): "the number of a Digital Signature Algorithm",
    ("trust/known_answers.py", "keywrap.aes_key_unwrap(key, wrapped) == text"): "published test vectors",
    ("trust/known_answers.py", "decryptor.update(sealed) + decryptor.finalize() == text"): "published test vectors",
}
EQUALS = (ast.Eq, ast.NotEq, ast.In, ast.NotIn)


def last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def is_secret(operand: ast.expr) -> bool:
    """Whether an operand is named like a secret or made by what makes them."""
    if isinstance(operand, ast.Call):
        inside = [operand.func.value] if isinstance(operand.func, ast.Attribute) else []
        is_measured = last_name(operand.func) in ("len", "isinstance", "type")
        return not is_measured and (bool(MADE.search(last_name(operand.func))) or any(map(is_secret, inside)))
    if isinstance(operand, ast.Subscript):
        return is_secret(operand.value)
    if isinstance(operand, ast.BinOp):
        return is_secret(operand.left) or is_secret(operand.right)
    if isinstance(operand, ast.Tuple | ast.List):
        return any(map(is_secret, operand.elts))
    return bool(NAMED.search(last_name(operand)))


def comparisons(module: ast.AST) -> Iterator[str]:
    """The source of each comparison of what may be secret."""
    for node in ast.walk(module):
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
            is_to_nothing = any(isinstance(each, ast.Constant) for each in operands)
            if not is_to_nothing and any(isinstance(op, EQUALS) for op in node.ops) and any(map(is_secret, operands)):
                yield ast.unparse(node)


def test_secrets_are_compared_in_constant_time_only() -> None:
    found = {(in_package(path), source) for path in python_files("src") for source in comparisons(tree(path))}
    assert found <= set(HARMLESS), "use hmac.compare_digest or Secret.matches, or say why the time tells nothing"
    assert set(HARMLESS) <= found, "a harmless comparison is gone; take its line out"


@pytest.mark.parametrize(
    "source",
    [
        "mac == given",
        "record.mac != self.record_mac(kind, key)",
        "hmac.digest(key, data, 'sha256') == tag",
        "secret.reveal() == other",
        "(a, pin) == b",
        "token in tokens",
        "password != typed.strip()",
        "context.finalize()[:16] == tag[:16]",
    ],
)
def test_the_search_finds_such_a_comparison(source: str) -> None:
    assert list(comparisons(ast.parse(source)))


@pytest.mark.parametrize("source", ["len(mac) == 32", "tag_count == 3", "hmac.compare_digest(mac, given)", "pin == ''"])
def test_the_search_leaves_others_alone(source: str) -> None:
    assert not list(comparisons(ast.parse(source)))


@pytest.mark.parametrize("name", ["record_mac", "verifier", "matches"])
def test_what_judges_secrets_uses_the_comparison_in_constant_time(name: str) -> None:
    """Where a MAC, a PIN's verifier or a secret is judged, compare_digest stands in the same file."""
    judges = {"record_mac": "storage/sealed.py", "verifier": "trust/partitions.py", "matches": "core/secret.py"}
    (path,) = [each for each in python_files("src") if in_package(each) == judges[name]]
    calls = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    assert "compare_digest" in {last_name(call.func) for call in calls}


def test_secrets_refuse_to_be_compared_otherwise() -> None:
    with pytest.raises(TypeError):
        _ = Secret(b"a") == Secret(b"a")
    with pytest.raises(TypeError):
        hash(Secret(b"a"))
    assert Secret(b"a").matches(Secret(b"a"))
    assert not Secret(b"a").matches(Secret(b"b"))
