"""Secret bytes leave their wrapper only where this table says.

A new line here is a decision: the bytes that `reveal()` returns can be logged, printed or kept. Say in the review why
the caller needs them and how short they live.
"""

import ast
from collections.abc import Iterator

from tests.surface.sources import in_package, python_files, tree

# Module below src/keystead, then the functions that call reveal(), each as often as it does.
REVEAL_SITES: dict[str, tuple[str, ...]] = {
    # Inside the root of trust: sealing, unsealing, splitting and judging secrets.
    "protocols/kmip/translate/macs.py": ("answer_rng_retrieve",),
    "trust/macs.py": ("_cmac", "method"),
    "trust/ciphers.py": ("prepare",),
    "trust/keyring.py": ("Keyring._cipher", "Keyring._cipher"),
    "trust/key_pairs.py": ("read_private", "read_public"),
    "trust/locked_memory.py": ("LockedSecret.__init__",),
    "trust/material.py": ("seal",),
    "trust/module_state.py": ("ModuleDocument.from_bytes",),
    "trust/node_key.py": ("NodeKey.derive", "NodeKey.seal", "NodeKey.store_keys", "NodeKey.unseal", "NodeKey.write"),
    "trust/partitions.py": (
        *("_crypto_user_key", "_domain_key", "_password_key"),
        *("check_password", "open_for_crypto_user", "verifier"),
    ),
    "trust/passwords.py": ("is_password", "kept"),
    "trust/role_tokens.py": ("_keystream",),
    "trust/sealing.py": ("seal",),
    "trust/shares.py": ("split",),
    "trust/modules.py": ("Module._node_key",),
    "trust/software.py": ("SoftwareEngine._wrapping_key", "SoftwareEngine.activate"),
    # Passwords on their way to a directory: to the process that asks it, and over TLS to the server.
    "appliance/ldap_client.py": ("connected", "proves"),
    "gate/directory.py": ("Users.prove",),
    "operations/key_backups.py": ("_is_text", "_lines"),
    "operations/user_directory.py": ("_is_text", "_proven.judged"),
    # PINs and keys on their way to the token, over the socket of its process.
    "trust/pkcs11/modules.py": (
        *("Pkcs11Engine._logged_in", "Pkcs11Engine.make", "Pkcs11Engine.wrap"),
        *("_export_tag", "_officer_pin", "_text", "_user_pin", "_user_pin"),
    ),
    # Keys of tokens on sets of drives: PINs and the wrapping key on their way to the token's process; a set's own
    # secrets on their way into its envelope; the node's list of drives, sealed.
    "custody/drives/backup.py": ("open_partition", "open_partition"),
    "custody/drives/entries.py": ("Reader._opened", "Reader._opened", "body", "head", "head"),
    "custody/drives/jobs.py": ("judge_officer",),
    "custody/drives/registry.py": ("FileRegistry.load", "FileRegistry.load", "FileRegistry.save"),
    "trust/x509.py": ("_authority",),
    # Envelopes: keys of origins and recipients on their way into the library, file keys into derivation.
    "trust/envelope.py": ("_content_key",),
    "trust/origins.py": ("Origin.__init__", "Origin.__init__"),
    "trust/recipients.py": (
        *("Passphrase._key", "RecipientKey.encrypt", "RecipientSecret.__init__", "RecipientSecret.__init__"),
        *("Shares.unwrap", "_split", "open_share"),
    ),
    # A secure module: PINs judged, keys derived, identities sealed, private keys on their way into TLS.
    "clients/coordinator/__main__.py": ("_issue",),
    "clients/secure_module/__main__.py": ("_set_pin", "_set_up", "_unlock"),
    "custody/modules/channel.py": ("_load",),
    "custody/modules/cloning.py": ("Source._clone", "_copied"),
    "custody/modules/files.py": ("FileKeys.__init__", "FileKeys.__init__"),
    "custody/modules/manufacture.py": (
        "Device.decoded",
        "Device.encoded",
        "Device.encoded",
        "Device.encoded",
        "RootSecret.decoded",
        "RootSecret.encoded",
        "RootSecret.encoded",
        "manufacture",
    ),
    "custody/modules/pins.py": ("check_form", "check_policy"),
    "custody/modules/state.py": ("check_value", "entry_of"),
    "custody/modules/store.py": ("ModuleStore._mac", "ModuleStore.load"),
    # A split key's numbers are sealed with its bytes; a certificate is public, but comes as any object does.
    "core/split_keys.py": ("packed", "unpacked"),
    "trust/certificates.py": ("read_certificate",),
    # A new object's digest, which may be told to everyone who may see the object.
    "operations/logins.py": ("_form", "_keep"),
    "operations/create.py": ("key_bytes",),
    # An administrator's key, sent as text, on its way to being sealed; and public keys, which are no secret.
    "operations/admin_keys_made.py": ("import_key", "show_public_key"),
    "operations/key_versions.py": ("_brought",),
    "operations/new_objects.py": ("digest_of",),
    # A client that may have its key gets it: the answer of Get on its way into TLS.
    "protocols/kmip/translate/key_blocks.py": ("material_node", "object_node"),
    "protocols/kmip/quick_paths.py": ("_got",),
    "protocols/xml/translate/keys.py": ("_exported",),
    "protocols/xml/translate/sessions.py": ("_random",),
    # Keys that leave or arrive wrapped, and those that are kept so.
    "operations/wrapped_keys.py": ("packed", "unpacked"),
    "operations/wrapping.py": ("register_wrapped",),
    "protocols/kmip/translate/wrapping.py": ("_encoded", "value_node", "value_node"),
    # Keys that are derived from, or begin a stream.
    "operations/derivations.py": ("_derivation_data",),
    "trust/derivations.py": ("_counter", "_hash", "_hkdf", "_hmac", "_pbkdf2"),
    "trust/pieces.py": ("Cmac.__init__", "Hmac.__init__", "_algorithm", "_algorithm"),
    # A client's key, sent as numbers, on its way to being sealed.
    "protocols/kmip/translate/transparent_keys.py": ("read_transparent", "read_transparent"),
    # The local door, 0600 and asked by the node's own user: tokens and PINs in, a new client's key out, once.
    "gate/plain.py": ("plain",),
    # Passwords of those who approve, on their way to the local door; a request that waited, opened to be run.
    "protocols/local/client.py": ("_message",),
    "operations/approval_records.py": ("opened_request",),
    "node/commands/local.py": ("client_certificate", "hsm_login"),
    "node/commands/production.py": ("init",),
    "node/commands/dev.py": ("_introduce", "_introduce", "_introduce_administrator"),
    # The host key on its way to the library that proves it; a role's secret, unmasked for the module.
    "node/ssh_door.py": ("SshDoor.listen",),
    "protocols/cli/handmade.py": ("log_in",),
    # The witness's key, drawn from the node key, makes its authentication codes.
    "node/witness.py": ("Witness.__init__",),
    # The audit log's signing key, unsealed to sign checkpoints, and the key that makes pseudonyms of names.
    "trust/notes.py": ("sign",),
    "node/auditing.py": ("Auditing.pseudonymise",),
    # The backup client's master keys, from which one key for each purpose is derived.
    "clients/backup/sealing.py": ("AreaKeys.__init__",),
    # Keys of backup clients and custodians: derived from, sealed, or written to a file of mode 0600.
    "clients/backup/key_store.py": ("KeyStore.load", "KeyStore.save"),
    "clients/vault/__main__.py": ("_init", "_init", "_seal_secret"),
    "custody/safeguard/deposits.py": ("Bundle.encoded", "Bundle.encoded", "Bundle.read", "make_deposit"),
    "custody/safeguard/quorums.py": ("Custodian.__init__", "Custodian.generate", "Custodian.generate"),
    "custody/safeguard/registrations.py": ("collect", "seal_registration"),
    "custody/safeguard/verifiers.py": ("origin_of", "prove_account", "prove_private"),
    # Passwords of further administrators, on their way to the key process over its socket.
    "protocols/asking.py": ("Asker.ask",),
    # The console: a session's token between the cookie and the table of sessions, and as the key of its forms' tokens.
    "protocols/console/guard.py": ("Guard._caller", "form_token"),
    "protocols/console/own_pages.py": ("OwnPages.log_in",),
    # A password that was made for somebody who lost theirs: into the request, and onto the page that shows it once.
    "protocols/console/officer_pages.py": ("OfficerPages._told", "OfficerPages.send"),
    # The server's own TLS key, through a memory file that OpenSSL reads.
    "node/opening.py": ("server_certificate",),
    # Tokens of administrators' sessions: kept as a digest, and told to whoever has logged in, once.
    "gate/sessions.py": ("digest_of",),
    "protocols/rest/session_routes.py": ("add_session.log_in",),
}


def reveal_calls(node: ast.AST, inside: str = "") -> Iterator[str]:
    """Qualified name of the function around each call of `.reveal()`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call) and isinstance(child.func, ast.Attribute) and child.func.attr == "reveal":
            yield inside or "(module)"
        name = inside
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{inside}.{child.name}" if inside else child.name
        yield from reveal_calls(child, name)


def test_every_call_of_reveal_is_in_the_table() -> None:
    found = {in_package(path): tuple(sorted(reveal_calls(tree(path)))) for path in python_files("src")}
    expected = {module: tuple(sorted(sites)) for module, sites in REVEAL_SITES.items()}
    assert {module: sites for module, sites in found.items() if sites} == expected


def test_the_search_sees_calls_in_methods_and_at_module_level() -> None:
    source = "class A:\n    def f(self):\n        return g(self.key.reveal())\nx = y.reveal()"
    assert list(reveal_calls(ast.parse(source))) == ["A.f", "(module)"]
