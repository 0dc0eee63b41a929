"""Draws a book as small SVGs: `python plots.py BOOK.json FOLDER`, in the environment that has the plotting library.

Colours that read on white and on black, no background of their own. Prints the names of what it drew.
"""

import json
import sys
from pathlib import Path
from typing import Any

GREY = "#808080"
COLOURS = ("#2f81f7", "#d9822b", "#3fa45b", "#c2527a", "#8f6fd1", "#9a8a3a", "#4aa3a8", "#b0562f", "#6f7f8f")
LARGEST = 60_000

Rows = list[dict[str, Any]]


def main(source: Path, folder: Path) -> list[str]:
    """Draw all that the book has figures for."""
    book = json.loads(source.read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name, chart in charts(book).items():
        svg = chart.render(is_unicode=True)
        if len(svg.encode()) > LARGEST:
            raise SystemExit(f"expected {name} under {LARGEST} bytes, got {len(svg.encode())}: it has too many points")
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
        drawn.append(f"{name}.svg")
    return drawn


def charts(book: dict[str, Any]) -> dict[str, Any]:
    """Chart by file name; one that has nothing to show is left out."""
    rows: Rows = [row for row in book["rows"] if row["spread"]]
    found = {
        "cpu": bars("CPU per message at 150 calls, microseconds", pick(rows, "steady 150", "CPU per message")),
        "calls": bars("Calls on one core, p99 under 20 ms", pick(rows, "ladder", "calls on one core")),
        "latency-up": ways(rows, "up", "Caller to model at 150 calls, milliseconds added"),
        "latency-down": ways(rows, "down", "Model to caller at 150 calls, milliseconds added"),
        "memory": bars(
            "Memory per call, kB", [r for r in rows if r["trial"].startswith("idle") and "RSS" in r["figure"]]
        ),
        "soak": line("Memory over a soak, MB", book["soak"]),
    }
    return {name: chart for name, chart in found.items() if chart is not None}


def pick(rows: Rows, trial: str, figure: str) -> Rows:
    """The rows of one figure, the least first."""
    return sorted(
        (r for r in rows if (r["trial"], r["figure"]) == (trial, figure)), key=lambda r: r["spread"]["median"]
    )


def look() -> dict[str, Any]:
    """What all charts have in common."""
    from pygal.style import Style

    style = Style(
        background="transparent",
        plot_background="transparent",
        foreground=GREY,
        foreground_strong=GREY,
        foreground_subtle=GREY,
        opacity="1",
        colors=COLOURS,
        value_colors=(GREY,) * len(COLOURS),
        font_family="sans-serif",
    )
    return {
        "style": style,
        "js": (),
        "pretty_print": False,
        "disable_xml_declaration": True,
        "width": 720,
        "explicit_size": True,
    }


def bars(title: str, rows: Rows) -> Any:
    """One bar a subject, its median written at its end."""
    import pygal

    if not rows:
        return None
    chart = pygal.HorizontalBar(
        **look(), title=title, height=90 + 34 * len(rows), show_legend=False, print_values=True, value_formatter=short
    )
    chart.x_labels = [label(row) for row in rows]
    chart.add("median", [row["spread"]["median"] for row in rows])
    return chart


def ways(rows: Rows, way: str, title: str) -> Any:
    """p50, p99 and p99.9 side by side, on a scale of powers of ten: peers differ by those."""
    import pygal

    by_percentile = {p: pick(rows, "steady 150", f"{way} {p}") for p in ("p50", "p99", "p99.9")}
    subjects = [row["subject"] for row in by_percentile["p99"]]
    if not subjects:
        return None
    chart = pygal.Bar(**look(), title=title, height=360, logarithmic=True, legend_at_bottom=True, value_formatter=short)
    chart.x_labels = subjects
    for name, found in by_percentile.items():
        medians = {row["subject"]: row["spread"]["median"] for row in found}
        chart.add(name, [medians.get(subject) for subject in subjects])
    return chart


def line(title: str, minutes: Rows) -> Any:
    """Memory under load and quiet, over minutes."""
    import pygal

    if not minutes:
        return None
    thinned = minutes[:: max(1, len(minutes) // 120)]
    chart = pygal.XY(**look(), title=title, height=320, legend_at_bottom=True, show_dots=False, x_title="minutes")
    chart.add("with calls", [(m["minute"], m["rss_kb"] / 1024) for m in thinned])
    chart.add("calls gone", [(m["minute"], m["quiet_rss_kb"] / 1024) for m in thinned])
    return chart


def label(row: dict[str, Any]) -> str:
    """A subject, and what was different about the run."""
    return f"{row['subject']} (TLS)" if "TLS" in row["trial"] else str(row["subject"])


def short(value: float | None) -> str:
    """Three digits that count."""
    return "" if value is None else f"{value:.3g}"


if __name__ == "__main__":
    print("\n".join(main(Path(sys.argv[1]), Path(sys.argv[2]))))
