"""The table of many rehearsals: a script a row, the models side by side in each column, and what each model comes to."""

from collections.abc import Sequence
from statistics import median

import msgspec

from app.sim.budgets import Budgets, exceeded
from app.sim.report import Report

COLUMNS = {
    "greeting_ms": "greeting",
    "barge_in_ms": "barge-in",
    "answer_ms": "answer",
    "tool_ms": "slowest tool",
    "untrue": "untrue",
}
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Summary(msgspec.Struct, kw_only=True):
    """What the calls of one model came to. Milliseconds; None where there was nothing to measure.

    greeting_spread_ms: from the quickest greeting to the slowest. Calls whose model was out of order on purpose do not count
    for the greetings.
    """

    model: str
    calls: int
    good: int
    greeting_ms: int | None
    greeting_spread_ms: int | None
    barge_in_ms: int | None
    answer_ms: int | None
    tool_ms: int | None
    """The median of all tool calls; a call's own figure is its slowest."""
    untrue: int
    cost_usd: float
    over_budget: list[str] = []

    @property
    def ok(self) -> bool:
        """Whether every call held, and all together."""
        return self.good == self.calls and not self.over_budget


def summarise(model: str, reports: Sequence[Report], limits: Budgets) -> Summary:
    """One model's calls in figures, and whether its greetings are as quick and as steady as they should be."""
    greetings = [report.greeting_ms for report in reports if report.greeting_ms is not None and not report.faulty_model]
    figures = [report.figures() for report in reports]
    summary = Summary(
        model=model,
        calls=len(reports),
        good=sum(report.ok for report in reports),
        greeting_ms=_median(greetings),
        greeting_spread_ms=max(greetings) - min(greetings) if greetings else None,
        barge_in_ms=_median([one for figure in figures if (one := figure["barge_in_ms"]) is not None]),
        answer_ms=_median([one for figure in figures if (one := figure["answer_ms"]) is not None]),
        tool_ms=_median([tool.ms for report in reports for tool in report.tool_calls]),
        untrue=sum(len(report.untrue) for report in reports),
        cost_usd=round(sum(report.call.cost_usd or 0 for report in reports if report.call is not None), 4),
    )
    together: dict[str, int | None] = {
        "greeting_ms": summary.greeting_ms,
        "greeting_spread_ms": summary.greeting_spread_ms,
    }
    return msgspec.structs.replace(summary, over_budget=exceeded(limits, together))


def table(reports: Sequence[Report], summaries: Sequence[Summary], *, jobs: int) -> str:
    """All of it as text: figures in ms, `-` where there was nothing to measure."""
    models = [summary.model for summary in summaries]
    letters = dict(zip(models, LETTERS, strict=False))
    many = len(models) > 1
    lines = [f"{letters[model]} = {model}" for model in models if many]
    scripts = list(dict.fromkeys(report.script for report in reports))
    wide = max(len("of the greetings: spread"), *(len(script) for script in scripts))
    width = 7 * len(models) - 1 if many else max(len(title) for title in COLUMNS.values())
    width = max(width, 12)
    head = "  ".join(f"{title:>{width}}" for title in COLUMNS.values())
    lines.append(f"{'ms':<{wide}}  {head}  verdict")
    if many:
        sub = "  ".join(f"{' '.join(f'{letters[model]:>6}' for model in models):>{width}}" for _ in COLUMNS)
        lines.append(f"{'':<{wide}}  {sub}  {' '.join(f'{letters[model]:<5}' for model in models)}".rstrip())
    for script in scripts:
        own = {report.model: report for report in reports if report.script == script}
        figures = [own[model].figures() for model in models]
        cells = [[figure[name] for figure in figures] for name in COLUMNS]
        verdict = " ".join(f"{'ok' if own[model].ok else 'FAULT':<5}" for model in models)
        lines.append(f"{script:<{wide}}  {_cells(cells, width)}  {verdict}".rstrip())
    medians = [[getattr(summary, name) for summary in summaries] for name in COLUMNS if name != "untrue"]
    untrue = [[summary.untrue for summary in summaries]]
    held = " ".join(f"{summary.good}/{summary.calls:<3}" for summary in summaries)
    lines.append(f"{'median (untrue: sum)':<{wide}}  {_cells(medians + untrue, width)}  {held}".rstrip())
    spreads = [[summary.greeting_spread_ms for summary in summaries]]
    lines.append(f"{'of the greetings: spread':<{wide}}  {_cells(spreads, width)}".rstrip())
    for summary in summaries:
        lines += [f"OVER BUDGET: {_of(summary.model)}{fault}" for fault in summary.over_budget]
    if jobs > 1:
        lines.append(
            f"up to {jobs} calls ran side by side and shared this machine: for exact milliseconds use --jobs 1"
        )
    good = all(summary.ok for summary in summaries)
    lines.append("all expectations hold, within the budgets" if good else "NOT all expectations and budgets hold")
    return "\n".join(lines)


def verdict(report: Report) -> str:
    """One call in one line, and a line for everything that is wrong with it."""
    lines = [f"{'ok' if report.ok else 'FAULT':<5} {report.script} {_of(report.model)}{report.seconds:g} s".rstrip()]
    lines += [f"      FAULT: {fault}" for fault in report.faults]
    lines += [f"      OVER BUDGET: {fault}" for fault in report.over_budget]
    lines += [f"      UNTRUE: {words}" for words in report.untrue]
    return "\n".join(lines)


def _of(model: str) -> str:
    return f"{model}: " if model else ""


def _cells(columns: Sequence[Sequence[int | None]], width: int) -> str:
    many = len(columns[0]) > 1
    shown = (
        " ".join(f"{'-' if one is None else one:>6}" for one in column) if many else f"{_shown(column[0])}"
        for column in columns
    )
    return "  ".join(f"{cell:>{width}}" for cell in shown)


def _shown(figure: int | None) -> str:
    return "-" if figure is None else str(figure)


def _median(figures: Sequence[int]) -> int | None:
    return round(median(figures)) if figures else None
