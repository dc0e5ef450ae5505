"""Runs PyKMIP's own server from a configuration file: python pykmip_server.py CONFIG LOG. A program of its own."""

import sys

from kmip.services.server import KmipServer


def main() -> None:
    server = KmipServer(config_path=sys.argv[1], log_path=sys.argv[2])
    with server:
        server.serve()


if __name__ == "__main__":
    main()
