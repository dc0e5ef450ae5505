"""PINs of secure modules: their form, and what a policy for users' PINs asks beyond it.

Source: requirements CA-013, 024, 026; AMB-53.
"""

import itertools
from dataclasses import dataclass

from keystead.core.errors import Invalid
from keystead.core.secret import Secret
from keystead.core.translation import tr

PIN_DIGITS_MIN = 7
PIN_DIGITS_MAX = 15


@dataclass(frozen=True, slots=True)
class PinPolicy:
    """What a user's PIN has to be beyond its form (CA-026).

    Attributes:
        digits_min: 7 to 15.
        no_patterns: Refuse PINs of one repeated digit, and those that count up or down.
    """

    digits_min: int = PIN_DIGITS_MIN
    no_patterns: bool = True

    def __post_init__(self) -> None:
        """Check the length.

        Raises:
            Invalid: not 7 to 15.
        """
        if type(self.digits_min) is not int or not PIN_DIGITS_MIN <= self.digits_min <= PIN_DIGITS_MAX:
            raise Invalid(
                tr("a policy asks for {least} to {most} digits at least", least=PIN_DIGITS_MIN, most=PIN_DIGITS_MAX)
            )


def check_form(pin: Secret) -> None:
    """Check that a PIN has 7 to 15 digits (CA-013).

    Raises:
        Invalid: it has not.
    """
    value = pin.reveal()
    if not PIN_DIGITS_MIN <= len(value) <= PIN_DIGITS_MAX or not all(0x30 <= byte <= 0x39 for byte in value):
        raise Invalid(tr("a PIN has {least} to {most} digits", least=PIN_DIGITS_MIN, most=PIN_DIGITS_MAX))


def check_policy(pin: Secret, policy: PinPolicy | None) -> None:
    """Check a user's PIN against the policy; without one only its form counts.

    Raises:
        Invalid: too short, of one repeated digit, or counting up or down.
    """
    check_form(pin)
    if policy is None:
        return
    value = pin.reveal()
    if len(value) < policy.digits_min:
        raise Invalid(tr("the policy of this module asks for PINs of {least} digits or more", least=policy.digits_min))
    steps = {(after - before) % 10 for before, after in itertools.pairwise(value)}
    if policy.no_patterns and steps in ({0}, {1}, {9}):
        raise Invalid(
            tr("the policy of this module refuses PINs of one repeated digit and those that count up or down")
        )
