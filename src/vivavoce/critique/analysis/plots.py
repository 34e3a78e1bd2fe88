"""The report's plots, drawn by Altair and turned into SVG here, so that the report is one file that works offline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vivavoce.critique.analysis.summary import Summary
from vivavoce.critique.analysis.trials import Trial
from vivavoce.stats import Estimate

# chosen: Okabe and Ito's palette, told apart by people with colour-blindness
_COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9"]


def draw_tests(summary: Summary) -> str | None:
    """Each hypothesis: the difference and its interval against zero. None where nothing is defined."""
    rows = [
        {
            "name": test.hypothesis.name,
            "value": test.difference.value,
            "low": test.difference.low,
            "high": test.difference.high,
        }
        for test in summary.tests
        if test.difference.low is not None
    ]
    if not rows:
        return None
    import altair as alt

    base = alt.Chart(alt.Data(values=rows)).encode(y=alt.Y("name:N", title=None, sort=None))
    zero = alt.Chart(alt.Data(values=[{"x": 0}])).mark_rule(strokeDash=[4, 3], color="#777").encode(x="x:Q")
    bars = base.mark_rule(size=2, color=_COLOURS[0]).encode(
        x=alt.X("low:Q", title="difference, arm minus control"), x2="high:Q"
    )
    points = base.mark_point(filled=True, size=70, color=_COLOURS[0]).encode(x="value:Q")
    return _to_svg((zero + bars + points).properties(width=460, height=40 * len(rows)))


def draw_hits(summary: Summary) -> str | None:
    """Share of intended flaws found, by arm."""
    rows = _rows([(row.arm, row.kind, row.hits) for row in summary.arms if row.kind == "misleading"])
    return _draw_points(rows, "share of intended flaws found", 1)


def draw_flaws(summary: Summary) -> str | None:
    """Flaws per answer, by arm and kind."""
    return _draw_points(_rows([(row.arm, row.kind, row.flaws) for row in summary.arms]), "flaws per answer", 4)


def draw_severity(summary: Summary) -> str | None:
    """Flaws per answer by severity, over all kinds."""
    rows = [
        {"arm": row.arm, "severity": str(level), "value": value.value}
        for row in summary.arms
        if row.kind == "all kinds"
        for level, value in row.by_severity.items()
        if value.value is not None
    ]
    if not rows:
        return None
    import altair as alt

    scale = alt.Scale(range=["#d9d9d9", "#fdae6b", "#e6550d", "#7f2704"])
    chart = alt.Chart(alt.Data(values=rows)).mark_bar()
    encoded = chart.encode(
        x=alt.X("value:Q", title="flaws per answer"),
        y=alt.Y("arm:N", title=None, sort=None),
        color=alt.Color("severity:N", scale=scale),
        order=alt.Order("severity:N"),
    )
    return _to_svg(encoded.properties(width=460, height=30 * len({row["arm"] for row in rows})))


def draw_times(trials: Sequence[Trial]) -> str | None:
    """How long answers took, by arm: the share that was done within so many minutes."""
    rows: list[dict[str, Any]] = []
    for arm in dict.fromkeys(trial.arm for trial in trials):
        minutes = sorted(trial.active_s / 60 for trial in trials if trial.arm == arm and trial.active_s)
        rows += [{"arm": arm, "minutes": value, "share": (idx + 1) / len(minutes)} for idx, value in enumerate(minutes)]
    if not rows:
        return None
    import altair as alt

    chart = alt.Chart(alt.Data(values=rows)).mark_line(interpolate="step-after").encode(
        x=alt.X("minutes:Q", title="minutes of work"),
        y=alt.Y("share:Q", title="share of answers"),
        color=alt.Color("arm:N", scale=alt.Scale(range=_COLOURS), sort=None),
    )  # fmt: skip
    return _to_svg(chart.properties(width=460, height=200))


def draw_reliance(summary: Summary) -> str | None:
    """Share of suggestions that were used: wrong ones planted on purpose, and the others."""
    triples = [(row.arm, name, value) for row in summary.reliance for name, value in (("planted, wrong", row.decoys_used), ("others", row.real_used))]  # fmt: skip
    return _draw_points(_rows(triples), "share of suggestions used", 2)


def _rows(triples: Sequence[tuple[str, str, Estimate]]) -> list[dict[str, Any]]:
    return [
        {"arm": arm, "group": group, "value": value.value, "low": value.low, "high": value.high}
        for arm, group, value in triples
        if value.value is not None
    ]


def _draw_points(rows: list[dict[str, Any]], title: str, num_groups: int) -> str | None:
    if not rows:
        return None
    import altair as alt

    base = alt.Chart().encode(
        y=alt.Y("arm:N", title=None, sort=None),
        color=alt.Color("group:N", scale=alt.Scale(range=_COLOURS), sort=None, legend=None),
    )
    bars = (
        base.transform_filter("isValid(datum.low)").mark_rule(size=2).encode(x=alt.X("low:Q", title=title), x2="high:Q")
    )
    points = base.mark_point(filled=True, size=60).encode(x="value:Q")
    layers = alt.layer(bars, points, data=alt.Data(values=rows))
    layers = layers.properties(width=460, height=24 * len({row["arm"] for row in rows}))
    if num_groups == 1:
        return _to_svg(layers)
    header = alt.Header(title=None, labelOrient="top", labelAnchor="start")
    return _to_svg(layers.facet(row=alt.Row("group:N", sort=None, header=header)))


def _to_svg(chart: Any) -> str:
    import vl_convert

    configured = chart.configure(font="Liberation Sans, Arial, sans-serif").configure_view(stroke=None)
    # above the plot, where no font that is wider than expected is cut off
    configured = configured.configure_legend(orient="top").configure_axisX(tickCount=6)
    return vl_convert.vegalite_to_svg(configured.to_dict())
