"""Checks of the running node: does it answer, is it unlocked, what does the system let it do."""

import socket
from collections.abc import Iterator

from keystead.node.doctor.findings import Examined, Finding, Severity
from keystead.node.opening import own_section
from keystead.protocols.listener import CONNECTIONS_COUNT_MAX
from keystead.settings.all import SECTIONS
from keystead.settings.section import Section
from keystead.settings.xml import CLEARTEXT, Xml

CONNECT_S_MAX = 3.0
EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # asked there, not listened


def running(node: Examined) -> Iterator[Finding]:
    """A node that does not run or is locked serves nobody."""
    if node.state is None or node.module is None:
        yield Finding(
            Severity.ERROR,
            "running",
            "The node does not answer at its local socket.",
            f"Start it with `keystead serve --data {node.config.data}`, or look into the system log why it ended.",
        )
    elif not node.module["activated"]:
        yield Finding(
            Severity.ERROR,
            "running",
            "The node is locked: it serves no keys.",
            "Unlock it with `keystead hsm login crypto-user`, or `keystead hsm activate` within the activation window.",
        )


def memory(node: Examined) -> Iterator[Finding]:
    """Keys must reach neither a core file nor the swap space."""
    if node.state is None:
        return
    if node.state["is_core_possible"]:
        yield Finding(
            Severity.ERROR,
            "memory",
            "The memory of the key process can be dumped or read by a debugger.",
            "Let the system allow prctl(PR_SET_DUMPABLE) and RLIMIT_CORE 0 (LimitCORE=0), and restart the node.",
        )
    if not node.state["is_memory_locked"]:
        yield Finding(
            Severity.WARNING,
            "memory",
            "Only the pages of held keys are kept out of swap, not all memory of the key process.",
            "Raise the limit of locked memory (LimitMEMLOCK=infinity), or switch swap off, and restart the node.",
        )


def open_files(node: Examined) -> Iterator[Finding]:
    """Every connection is an open file."""
    if node.state is not None and node.state["connections_limit"] < CONNECTIONS_COUNT_MAX:
        yield Finding(
            Severity.WARNING,
            "open_files",
            f"The limit of {node.state['open_files_limit']} open files leaves {node.state['connections_limit']} "
            f"connections of the {CONNECTIONS_COUNT_MAX} there could be.",
            "Raise it (LimitNOFILE=8192) and restart the node.",
        )


def compiled(node: Examined) -> Iterator[Finding]:
    """Without compiled modules the same code runs from source, slower."""
    if node.state is not None and not node.state["compiled_count"]:
        yield Finding(
            Severity.NOTE,
            "compiled",
            "The node runs from source: the compiled modules are missing or of another version.",
            "It serves the same, only slower. In a checkout with a C compiler run `./dev setup`, and restart the node.",
        )


def ports(node: Examined) -> Iterator[Finding]:
    """What the node says it serves must be reachable at least from here."""
    if node.state is None or node.parts is None:
        return
    for name in ("kmip", "ssh", "health", "metrics"):
        section = own_section(node.parts.own, SECTIONS[name])
        port = node.state["kmip_port"] if name == "kmip" else int(getattr(section, "port", 0))
        if not getattr(section, "enabled", True) or not port:  # 0: the system has chosen one, which others are told
            continue
        address = _address(section)
        try:
            socket.create_connection((address, port), CONNECT_S_MAX).close()
        except OSError as error:
            yield Finding(
                Severity.ERROR,
                "ports",
                f"Nobody can connect to {name} on {address} port {port}: {error.strerror or 'no answer'}.",
                "Look for a packet filter or another program on that port, and into the system log of the node.",
            )


def cleartext(node: Examined) -> Iterator[Finding]:
    """Whoever reads the network reads what is not encrypted."""
    if node.parts is None:
        return
    xml = own_section(node.parts.own, Xml)
    if xml.enabled and not xml.use_tls:
        yield Finding(
            Severity.WARNING,
            "cleartext",
            f"{CLEARTEXT[0].upper()}{CLEARTEXT[1:]} (port {xml.port}).",
            "Stop the node, set xml.use_tls=true, start it; until then let nobody else reach that network.",
        )


def _address(section: Section) -> str:
    address = str(getattr(section, "address", "127.0.0.1"))
    return EVERY_ADDRESS.get(address, address)
