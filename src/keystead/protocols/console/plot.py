"""Small plots, drawn as SVG on the server. Pure.

Source: requirement KS-UI-005; WAI-ARIA Graphics Module (an image has a title and a table beside it).
"""

from datetime import datetime, timedelta

from markupsafe import Markup

HOURS_COUNT = 24
HOUR_US = 3_600_000_000
WIDTH, HEIGHT, BAR = 340, 120, 10
_TOP, _BOTTOM = 14, 100
_SVG = Markup(
    '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-labelledby="plot-title">'
    '<title id="plot-title">{}</title>{}<line class="axis" x1="0" y1="{}" x2="{}" y2="{}"></line></svg>'
)
_BAR = Markup('<rect x="{}" y="{}" width="{}" height="{}" rx="2"><title>{}</title></rect>')
_BARS = Markup(
    '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-labelledby="bars-title bars-list">'
    '<title id="bars-title">{}</title><desc id="bars-list">{}</desc>{}</svg>'
)
_ROW, _NAMED = 22, 120
_TEXT = Markup('<text x="{}" y="{}" class="{}">{}</text>')


def plot(counts: list[int], now: datetime) -> Markup:
    """Return bars, one for each hour, the newest on the right.

    Args:
        counts: Of each hour, oldest first.
        now: When the newest of them ends.
    """
    most = max([*counts, 1])
    step = WIDTH / len(counts)
    drawn = Markup()
    for place, count in enumerate(counts):
        ends = now - timedelta(hours=len(counts) - 1 - place)
        height = round((_BOTTOM - _TOP) * count / most, 1)
        told = f"{count} until {ends:%H:%M}"
        drawn += _BAR.format(round(place * step + 2, 1), round(_BOTTOM - height, 1), BAR, height, told)
        if place % 6 == 5:
            drawn += _TEXT.format(round((place + 1) * step, 1), HEIGHT - 4, "hour", f"{ends:%H:%M}")
    drawn += _TEXT.format(2, 10, "most", f"{most:,} an hour at most")
    title = f"Audited actions per hour of the last day: {sum(counts):,} in all"
    return _SVG.format(WIDTH, HEIGHT, title, drawn, _BOTTOM, WIDTH, _BOTTOM)


def bars(title: str, counts: list[tuple[str, int]]) -> Markup:
    """Return one bar for each name, with its number behind it.

    Args:
        title: What is counted.
        counts: In the order in which they are drawn.
    """
    most = max([*(count for _, count in counts), 1])
    drawn = Markup()
    for place, (name, count) in enumerate(counts):
        top = place * _ROW
        length = max(2.0, round((WIDTH - _NAMED - 60) * count / most, 1))
        drawn += _TEXT.format(_NAMED - 8, top + 15, "hour", name)
        drawn += _BAR.format(_NAMED, top + 4, length, _ROW - 8, f"{name}: {count:,}")
        drawn += _TEXT.format(_NAMED + length + 6, top + 15, "count", f"{count:,}")
    told = ", ".join(f"{name} {count:,}" for name, count in counts)
    return _BARS.format(WIDTH, max(1, len(counts)) * _ROW, title, told, drawn)
