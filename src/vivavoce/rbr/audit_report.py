"""The audit as one HTML file: a table of error rates and, per response type, plots of the centred rewards. No network."""

from __future__ import annotations

import html
import json

import altair as alt
import vl_convert

from vivavoce.rbr.audit import PARTS, Audit

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.3rem .8rem;border-bottom:1px solid #ccc;text-align:left}"
    "svg{max-width:100%;height:auto}"
)


def render_report(audit: Audit, facts: dict[str, object]) -> str:
    """One HTML page; the same audit gives the same bytes."""
    rows = "".join(
        f"<tr><td>{html.escape(kind)}</td>"
        + "".join(f"<td>{html.escape(str(rates[part]) if part in rates else 'n/a')}</td>" for part in PARTS)
        + "</tr>"
        for kind, rates in audit.error_rates.items()
    )
    heads = "".join(f"<th scope=col>{html.escape(part)}</th>" for part in PARTS)
    plots = "".join(f"<h2>{html.escape(kind)}</h2>{_plot(audit, kind)}" for kind in audit.error_rates)
    notes = html.escape(json.dumps(facts, sort_keys=True, default=str))
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Reward audit</title><style>{_STYLE}</style>"
        "<h1>Reward audit</h1><p>Share of (ideal, other) pairs of one prompt that the reward ranks wrongly, ties counting "
        "half, with 95% intervals clustered by prompt (n prompts).</p>"
        f"<table><tr><th scope=col>response type</th>{heads}</tr>{rows}</table>"
        f"<p>{audit.num_ungraded} completions without a grade are left out.</p>"
        "<p>Below: each completion's reward minus the mean of its prompt's ideal ones. Ideal should stand at 0, all else to "
        f"the left.</p>{plots}<p><small>{notes}</small></p></html>\n"
    )


def _plot(audit: Audit, kind: str) -> str:
    rows = [
        {"part": row.part, "label": row.label, "reward": round(row.value, 6)}
        for row in audit.centred
        if row.response_type == kind and row.part in audit.error_rates[kind]
    ]
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_tick(opacity=0.45, thickness=1.5)
        .encode(
            x=alt.X("reward:Q", title="reward, centred on the ideal"),
            y=alt.Y("label:N", title=None),
            color=alt.Color("label:N", legend=None),
            row=alt.Row("part:N", title=None, sort=list(PARTS)),
        )
        .properties(width=560, height=90)
    )
    return vl_convert.vegalite_to_svg(chart.to_dict())
