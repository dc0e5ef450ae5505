"""In which language a program speaks: that of who started it, as the system's own programs do.

`LANGUAGE`, `LC_ALL`, `LC_MESSAGES` and `LANG` are heard in this order (gettext). There are English, French and German;
everybody else gets English.
"""

import gettext
import io
import sys
from pathlib import Path

from keystead.core.translation import mark, tr, use

DOMAIN = "keystead"
CATALOGUES = Path(__file__).parents[1] / "locale"

_LIBRARY = (  # what argparse says by itself, by the catalogue that is chosen below
    mark("usage: "),
    mark("options"),
    mark("positional arguments"),
    mark("show this help message and exit"),
    mark("%(prog)s: error: %(message)s\n"),
    mark("argument %(argument_name)s: %(message)s"),
    mark("the following arguments are required: %s"),
    mark("unrecognized arguments: %s"),
    mark("expected one argument"),
    mark("invalid choice: %(value)r (choose from %(choices)s)"),
    mark("invalid %(type)s value: %(value)r"),
)


def begin() -> None:
    """Speak the language of the environment from now on; English when there is no catalogue for it.

    What a terminal's character set does not have, it shows as "?".
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    gettext.bindtextdomain(DOMAIN, CATALOGUES)
    gettext.textdomain(DOMAIN)
    chosen = gettext.translation(DOMAIN, CATALOGUES, fallback=True)
    use(chosen.info().get("language", "en"), chosen.gettext)


def say(message: str, **fields: object) -> None:
    """Print a message for a person in the language that is in use; see `tr`."""
    print(tr(message, **fields), flush=True)


def warn(message: str, **fields: object) -> None:
    """Print a message as `say` does, on standard error."""
    print(tr(message, **fields), file=sys.stderr, flush=True)
