"""A study's report: one HTML file with its plots inside, no script, nothing loaded from elsewhere."""

from __future__ import annotations

from pathlib import Path

import yaml
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from vivavoce.critique.analysis import plots
from vivavoce.critique.analysis.summary import Summary
from vivavoce.critique.analysis.trials import StudyData
from vivavoce.critique.study.plan import plan_to_json
from vivavoce.stats import Estimate

_TEMPLATE = Path(__file__).with_name("report.html")


def render_report(study: StudyData, summary: Summary, *, seed: int) -> str:
    """The report's HTML; the same data and seed give the same bytes."""
    drawn = {
        "tests": plots.draw_tests(summary),
        "hits": plots.draw_hits(summary),
        "flaws": plots.draw_flaws(summary),
        "severity": plots.draw_severity(summary),
        "times": plots.draw_times(study.trials),
        "reliance": plots.draw_reliance(summary),
    }

    def figure(name: str, caption: str) -> Markup:
        svg = drawn[name]
        if svg is None:
            return Markup("")
        title = f'<figure role="img" aria-label="{escape(caption)}">'
        # the SVG is our own drawing; texts in it were escaped by its writer
        return Markup(f'{title}{svg}<figcaption class="soft">{escape(caption)}</figcaption></figure>')

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        study=study,
        plan=study.plan,
        summary=summary,
        seed=seed,
        num_labellers=len({trial.labeller for trial in study.trials}),
        num_flaws=sum(trial.num_flaws for trial in study.trials),
        num_judged=sum(trial.num_decided for trial in study.trials),
        plan_text=yaml.safe_dump(plan_to_json(study.plan), sort_keys=False, allow_unicode=True),
        figure=figure,
        brief=write_brief,
    )


def write_brief(estimate: Estimate) -> str:
    """An estimate for a narrow cell: value and interval, without n."""
    if estimate.value is None:
        return "n/a"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"
