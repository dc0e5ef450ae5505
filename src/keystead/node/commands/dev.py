"""`keystead dev`: a throw-away node in one folder, everything inside, nothing secret about it.

It marks its stores for ever, binds loopback only and says INSECURE; `serve` refuses what it made.

Source: docs/node-contract.md; design.md section 6 ("dev").
"""

import argparse
import json
import os
import secrets
import shutil
import ssl
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keystead
from keystead.core.errors import Invalid, Refused
from keystead.core.secret import Secret
from keystead.node.folder import (
    CONFIG_FILE,
    UNFINISHED,
    NodeConfig,
    make_file,
    read_config,
    unix_address,
)
from keystead.node.supervisor import Supervisor
from keystead.node.unlocking import PIN_FILE, TOKEN_FILE
from keystead.protocols.local.client import ask
from keystead.settings.all import parse
from keystead.trust.durable_files import flush_folder, write_private
from keystead.trust.first_passwords import first_password
from keystead.trust.role_tokens import INSECURE_COST, imprint, new_role_secret, pin
from keystead.trust.root import Role

SSH_HOST_KEY_FILE = "ssh_host_key.pub"
USERS = ("alice", "bob")
ADMINISTRATOR_FILE = "admin.password"
OPEN_SETTINGS: dict[str, dict[str, Any]] = {
    "key_server": {"allow_key_configuration": True, "allow_key_export": True},
    "legacy": {"algorithms": True, "modes": True},
    "kmip": {"address": "127.0.0.1", "port": 0},
    "xml": {"enabled": True, "address": "127.0.0.1", "port": 0},
    "web": {"enabled": True, "address": "127.0.0.1", "port": 0},
    "ssh": {"enabled": find_spec("asyncssh") is not None, "address": "127.0.0.1", "port": 0},
    "health": {"enabled": True, "address": "127.0.0.1", "port": 0},
    "metrics": {"enabled": True, "port": 0},
}


def dev(words: argparse.Namespace) -> int:
    """Make (or start again) a throw-away node, serve in the foreground, write the ready file."""
    data, ready_file = Path(words.data).absolute(), Path(words.ready_file).absolute()
    ready_file.unlink(missing_ok=True)  # one of an earlier run would name services that are gone
    print("INSECURE: a throw-away node; its keys, PINs and passwords lie in its folder.", flush=True)
    place = NodeConfig(data, data / "insecure" / "node.key", dev=True, store=words.store or "")
    if _clear_unfinished(place) or not (data / CONFIG_FILE).exists():
        _create(place, words.set or ())
    config = read_config(data)
    if words.store and words.store != config.store:
        raise Refused(f"{data} holds a node with another store; leave --store out, or choose another folder")
    if not config.dev:
        raise Refused(f"{data} holds a production node; `keystead dev` keeps its hands off it")
    supervisor = Supervisor(config, config.insecure, serving=False)
    supervisor.start()
    try:
        _introduce(config)
        _introduce_administrator(config, supervisor.ports().get("web"))
        _write_ready(ready_file, config, supervisor.ports())
    except BaseException:
        supervisor.stop()
        raise
    return supervisor.run()


def _create(config: NodeConfig, given: tuple[str, ...]) -> None:
    settings = {name: dict(fields) for name, fields in OPEN_SETTINGS.items()}
    for word in given:
        place, equals, value = word.partition("=")
        section, dot, field = place.partition(".")
        if not equals or not dot:
            raise Invalid(f"--set takes SECTION.FIELD=VALUE, not {word!r}", "invalid.field")
        settings.setdefault(section, {})[field] = parse(section, field, value)
    from keystead.node.creation import Beginning, RoleSecrets, check_place, create_node  # noqa: PLC0415  # schema tools are slow to import

    check_place(config, settings)
    data = config.data
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not any(data.iterdir()):
        make_file(data / UNFINISHED, b"")
        flush_folder(data)
    role_secrets = RoleSecrets(new_role_secret(), new_role_secret(), new_role_secret())
    create_node(config, Beginning(role_secrets, (), settings))
    number = f"{secrets.randbelow(10**8):08d}"
    token = imprint(Role.CRYPTO_USER, role_secrets.crypto_user, [pin(number)], 1, INSECURE_COST)[0]
    write_private(config.insecure / TOKEN_FILE, token.to_bytes())
    write_private(config.insecure / PIN_FILE, number.encode())
    (data / UNFINISHED).unlink()
    flush_folder(data)


def _clear_unfinished(config: NodeConfig) -> bool:
    """Empty the folder of a run that was killed while it made the node; tell whether there was one."""
    data = config.data
    if not (data / UNFINISHED).exists():
        return False
    from keystead.node.creation import discard_unfinished  # noqa: PLC0415  # schema tools are slow to import

    discard_unfinished(config)
    for entry in data.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != UNFINISHED:
            entry.unlink()
    return True


def _introduce(config: NodeConfig) -> None:
    """Let there be two users with a certificate each, unless they are there."""
    address = unix_address(config.local_socket)
    (config.data / "ca.pem").write_text(ask(address, "authority.show"))
    if not ask(address, "module.show")["key_cache"]:
        ask(address, "module.set_key_cache", enabled=True)
    folder = config.data / "clients"
    folder.mkdir(mode=0o700, exist_ok=True)
    existing = {user["name"] for user in ask(address, "user.list")}
    for name in USERS:
        if name not in existing:
            ask(address, "user.create", name=name)
        if not (folder / f"{name}.key").exists():
            issued = ask(address, "certificate.issue", user=name)
            write_private(folder / f"{name}.pem", issued["certificate"].encode())
            password = first_password(name=name).reveal()
            ask(address, "user.set_password", name=name, password=password)
            write_private(folder / f"{name}.password", password)
            write_private(folder / f"{name}.key", Secret(issued["key"]).reveal())


def _introduce_administrator(config: NodeConfig, web_port: int | None) -> None:
    """Let `admin` have a password: one that has to be changed first where there is no door to change it at."""
    file = config.insecure / ADMINISTRATOR_FILE
    if file.exists():
        return
    first, password = (first_password(name="admin").reveal().decode() for _ in range(2))
    ask(unix_address(config.local_socket), "administrator.set_password", name="admin", password=first.encode())
    if web_port is None:
        write_private(file, first.encode())
        return
    trust = ssl.create_default_context(cafile=config.data / "ca.pem")
    session = f"https://127.0.0.1:{web_port}/v1/session"
    told = _send(trust, "POST", session, {"username": "admin", "password": first})
    _send(trust, "PUT", f"{session}/password", {"current": first, "new": password}, json.loads(told)["token"])
    write_private(file, password.encode())


def _send(trust: ssl.SSLContext, method: str, url: str, body: dict[str, str], token: str = "") -> bytes:
    headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)  # noqa: S310  # our own
    with urllib.request.urlopen(request, timeout=30, context=trust) as reply:  # noqa: S310  # our own
        answer: bytes = reply.read()
    return answer


def _write_ready(file: Path, config: NodeConfig, ports: dict[str, int]) -> None:
    clients = config.data / "clients"
    ready = {
        "version": keystead.__version__,
        "data": str(config.data),
        "pid": os.getpid(),
        "ca_certificate": str(config.data / "ca.pem"),
        "kmip": {"host": "127.0.0.1", "port": ports["kmip"]},
        "administrator": {"username": "admin", "password_file": str(config.insecure / ADMINISTRATOR_FILE)},
        "clients": [
            {
                "user": name,
                "certificate": str(clients / f"{name}.pem"),
                "key": str(clients / f"{name}.key"),
                "password_file": str(clients / f"{name}.password"),
            }
            for name in USERS
        ],
    }
    if "xml" in ports:
        ready["xml"] = {"host": "127.0.0.1", "port": ports["xml"]}
    if "web" in ports:
        base = f"https://127.0.0.1:{ports['web']}/v1"
        ready["rest"] = {"url": base, "openapi": f"{base}/openapi.json"}
        ready["console"] = {"url": f"https://127.0.0.1:{ports['web']}/"}
    if "ssh" in ports:
        key = config.data / SSH_HOST_KEY_FILE
        key.unlink(missing_ok=True)
        write_private(key, ask(unix_address(config.local_socket), "ssh.show")["public_key"].encode() + b"\n")
        ready["ssh"] = {"host": "127.0.0.1", "port": ports["ssh"], "host_key": str(key)}
    if "health" in ports:
        ready["health"] = {"url": f"http://127.0.0.1:{ports['health']}/"}
    if "metrics" in ports:
        ready["metrics"] = {"url": f"http://127.0.0.1:{ports['metrics']}/metrics"}
    beside = file.with_name(file.name + ".new")
    beside.write_text(json.dumps(ready, indent=1) + "\n")
    beside.replace(file)
