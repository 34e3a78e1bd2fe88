"""The `viva study` commands that compute: analyse, power, simulate."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from vivavoce.critique.analysis.power import (
    plan_size,
    power_for_counts,
    power_for_proportions,
    size_for_counts,
    size_for_proportions,
)
from vivavoce.critique.analysis.report import render_report
from vivavoce.critique.analysis.simulate import Truth, measure_coverage
from vivavoce.critique.analysis.summary import Summary, summarise, summary_to_json
from vivavoce.critique.analysis.trials import StudyData, make_study, read_study
from vivavoce.errors import ConfigError
from vivavoce.files import write_bytes, write_json
from vivavoce.run import describe_environment


def analyse(
    *,
    rows: Path | None = None,
    study: str | None = None,
    store: str = "runs/critique.db",
    out: Path | None = None,
    json: Path | None = None,
    seed: int = 0,
) -> None:
    """Analyse a study: the registered tests, outcomes by arm, reliance, agreement; a one-file report.

    Args:
        rows: Directory that `viva study export` wrote; or name a study in a store instead.
        study: Name of a study in `store`.
        store: Database URL, or path of an SQLite file.
        out: HTML report to write.
        json: Every number as JSON.
        seed: Of the permutations and bootstraps.
    """
    data = _read(rows, study, store)
    if not data.trials:
        raise ConfigError(f"study {data.plan.name!r} has no answer that was handed in; there is nothing to analyse")
    summary = summarise(data, seed=seed)
    _print_summary(data, summary)
    if json is not None:
        about = {"plan_digest": data.plan_digest, "seed": seed, "not_handed_in": dict(data.not_handed_in)}
        write_json(json, {**about, **summary_to_json(summary), "about": describe_environment()})
    if out is not None:
        write_bytes(out, render_report(data, summary, seed=seed).encode())
        print(f"report: {out}")


def power(
    *,
    outcome: Literal["hits", "flaws"] = "hits",
    control: float | None = None,
    assisted: float | None = None,
    per_labeller: float = 10.0,
    icc: float = 0.05,
    dispersion: float = 1.0,
    alpha: float = 0.05,
    per_arm: int | None = None,
    json: Path | None = None,
) -> None:
    """How many answers per arm a study needs, or what power a size gives.

    Args:
        outcome: hits compares two shares (defaults 0.27 and 0.45), flaws two mean counts (1.0 and 1.5).
        control: Expected value without help.
        assisted: Expected value with help.
        per_labeller: Answers per labeller in the two arms together.
        icc: Intra-class correlation of answers of one labeller.
        dispersion: Variance over mean of flaw counts; 1 is Poisson.
        alpha: Two-sided level.
        per_arm: Answers per arm, to get the power instead.
        json: Write the numbers here.
    """
    low = (0.27 if outcome == "hits" else 1.0) if control is None else control
    high = (0.45 if outcome == "hits" else 1.5) if assisted is None else assisted
    sizes = {}
    for wanted in (0.8, 0.9):
        if outcome == "hits":
            exact = size_for_proportions(low, high, power=wanted, alpha=alpha)
        else:
            exact = size_for_counts(low, high, dispersion=dispersion, power=wanted, alpha=alpha)
        sizes[wanted] = plan_size(exact, per_labeller=per_labeller, icc=icc)
        print(
            f"power {wanted:.0%}: {sizes[wanted].independent} answers per arm if independent, "
            f"{sizes[wanted].clustered} with design effect {sizes[wanted].design_effect:.2f}"
        )
    reached = None
    if per_arm is not None:
        effective = per_arm / sizes[0.8].design_effect
        if outcome == "hits":
            reached = power_for_proportions(low, high, effective, alpha=alpha)
        else:
            reached = power_for_counts(low, high, effective, dispersion=dispersion, alpha=alpha)
        print(f"{per_arm} answers per arm: power {reached:.1%}")
    if json is not None:
        rows = {f"{wanted}": size._asdict() for wanted, size in sizes.items()}
        write_json(json, {"control": low, "assisted": high, "sizes": rows, "per_arm": per_arm, "power": reached})


def simulate(truth: Truth, *, num_studies: int = 500, seed: int = 0, json: Path | None = None) -> None:
    """Simulate studies with a known effect: how often the intervals hold the truth, and how often an effect is seen.

    Args:
        truth: What the studies are made with.
        num_studies: How many.
        seed: Of the first study; each next one adds 1.
        json: Write the numbers here.
    """
    if num_studies < 1:
        raise ConfigError(f"num_studies is {num_studies}; need 1 or more")
    found = {}
    for outcome in ("intended_hit", "num_flaws"):
        result = measure_coverage(truth, num_studies=num_studies, seed=seed, outcome=outcome)
        found[outcome] = result
        print(f"{outcome}: interval holds the truth in {result.coverage}; effect seen in {result.rejections}")
    if json is not None:
        rows = {
            name: {
                "coverage": result.coverage.to_json(),
                "power": result.rejections.to_json(),
                "mean_width": result.mean_width,
                "undefined": result.num_undefined,
            }
            for name, result in found.items()
        }
        write_json(json, {"seed": seed, "num_studies": num_studies, "outcomes": rows, "about": describe_environment()})


def _read(rows: Path | None, study: str | None, store: str) -> StudyData:
    if (rows is None) == (study is None):
        raise ConfigError("name either --rows DIRECTORY or --study NAME, not both and not neither")
    if rows is not None:
        return read_study(rows)
    from vivavoce.critique.store import open_store
    from vivavoce.critique.study.export import list_assignments, list_findings
    from vivavoce.critique.study.materials import find_study

    with open_store(store) as opened, opened.session() as session:
        found = find_study(session, str(study))
        written = {"plan": found.plan, "plan_digest": found.plan_digest}
        return make_study(written, list_assignments(session, found), list_findings(session, found))


def _print_summary(data: StudyData, summary: Summary) -> None:
    left = ", ".join(f"{count} {state}" for state, count in sorted(data.not_handed_in.items())) or "none"
    print(
        f"study {data.plan.name}, plan {data.plan_digest[:12]}: {len(data.trials)} answers judged; not handed in: {left}"
    )
    for test in summary.tests:
        ratio = f"; ratio {test.ratio}" if test.ratio is not None else ""
        print(
            f"  {test.hypothesis.name}: {test.difference}{ratio}; p {test.p_value:.4f}, Holm {test.p_holm:.4f}: "
            f"{test.verdict} (coverage {test.coverage})"
        )
    for row in summary.reliance:
        if row.decoys_used.n:
            print(f"  {row.arm}: planted suggestions used {row.decoys_used}, others {row.real_used}")
    for row in summary.agreement:
        print(f"  agreement of {row.name}: alpha {row.alpha}")
