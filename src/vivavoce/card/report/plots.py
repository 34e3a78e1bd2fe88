"""Plots of the card as SVG text, drawn by Altair and vl-convert: the same document gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import vl_convert

from vivavoce.card.evaluation import ARM_TITLES

ARM_COLOURS = {"text → text": "#5b6b7b", "audio → text": "#b08900", "audio → audio": "#0f6fae"}
WIDTH_PIXELS = 520


def plot_arms(card: Mapping[str, Any]) -> str:
    """Every share of the card, text against speech, with intervals; "" where nothing ran."""
    rows = []
    titles = [measure["title"] for evaluation in card["evaluations"] for measure in evaluation["measures"]]
    for evaluation in card["evaluations"]:
        for measure in evaluation["measures"]:
            title = measure["title"]
            name = f"{title} ({evaluation['id'].replace('_', ' ')})" if titles.count(title) > 1 else title
            if measure["kind"] != "proportion" or measure["better"] == "neither":
                continue
            for arm, group in measure["arms"].items():
                rows += _row(name, ARM_TITLES[arm], group["estimate"])
    if not rows:
        return ""
    return _draw(rows, "share, with 95% interval", "arm", list(ARM_COLOURS), list(ARM_COLOURS.values()))


def plot_breakdown(measure: Mapping[str, Any], by: str) -> str:
    """One measure by voice or by channel, with intervals; "" where there is nothing to compare."""
    groups = measure[by]
    rows = [row for name, group in groups.items() for row in _row(name or "clean", "", group["estimate"])]
    return _draw(rows, f"{measure['title']}, with 95% interval", None, [], []) if len(rows) > 1 else ""


def _row(name: str, arm: str, estimate: Mapping[str, Any]) -> list[dict[str, Any]]:
    if estimate["value"] is None or estimate["ci"] is None:
        return []
    return [{"name": name, "arm": arm, "value": estimate["value"], "low": estimate["ci"][0], "high": estimate["ci"][1]}]


def _draw(rows: list[dict[str, Any]], title: str, colour: str | None, domain: list[str], colours: list[str]) -> str:
    names = list(dict.fromkeys(row["name"] for row in rows))
    arms = [arm for arm in domain if any(row["arm"] == arm for row in rows)]
    y = alt.Y(
        "name:N",
        sort=names,
        title=None,
        axis=alt.Axis(labelLimit=330, labelPadding=6, grid=True, gridColor="#eeeeee", tickSize=0),
    )
    offset = alt.YOffset("arm:N", sort=arms) if colour and len(arms) > 1 else alt.YOffset()
    scale = alt.Scale(domain=arms, range=[dict(zip(domain, colours))[arm] for arm in arms])
    tint = (
        alt.Color("arm:N", scale=scale, legend=alt.Legend(title=None, orient="top")) if colour else alt.value("#0f6fae")
    )
    x = alt.X(
        "low:Q",
        title=title,
        scale=alt.Scale(domain=[min(0, *(row["low"] for row in rows)), max(1, *(row["high"] for row in rows))]),
    )
    base = alt.Chart(alt.Data(values=rows)).encode(y=y, color=tint)
    if colour and len(arms) > 1:
        base = base.encode(yOffset=offset)
    bars = base.mark_rule(strokeWidth=2).encode(x=x, x2="high:Q")
    points = base.mark_point(filled=True, size=42, opacity=1).encode(x=alt.X("value:Q"))
    step = 11 * max(1, len(arms)) + 8
    # the page's font may be wider than the one that the margin was measured with
    margin = {"left": 70, "right": 15, "top": 5, "bottom": 5}
    chart = (bars + points).properties(width=WIDTH_PIXELS, height=step * len(names), padding=margin)
    chart = chart.configure_view(stroke=None).configure_axis(labelFontSize=11, titleFontSize=11, labelFont="sans-serif")
    return vl_convert.vegalite_to_svg(chart.to_dict())
