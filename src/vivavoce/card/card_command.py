"""`viva card ...`: run, report, gate, diff, list, fetch, import, agreement."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from vivavoce.card.agreement import measure_agreement, measure_opinions
from vivavoce.card.diff import compare_runs
from vivavoce.card.evals import EVALUATIONS
from vivavoce.card.graders.propositions import DEFAULT_GRADER
from vivavoce.card.human_results import import_human_result
from vivavoce.card.names import Names, join_names, read_pairs
from vivavoce.card.preparedness import DEFAULT_FRAMEWORK
from vivavoce.card.report.document import ReportOptions, build_document
from vivavoce.card.report.exports import export_every_eval_ever, export_hugging_face
from vivavoce.card.report.html import render_html
from vivavoce.card.report.markdown import render_markdown
from vivavoce.card.report.wording import say_agreement, say_estimate, say_level, say_p
from vivavoce.card.running import CardConfig, Plan, check_evaluations, make_plan, run_card
from vivavoce.card.sources import fetch_sources, list_source_files
from vivavoce.files import write_bytes, write_json

_THREADS = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
EXIT_CODES = {"allowed": 0, "not allowed": 1, "inconclusive": 3}
NOTHING_MEASURED = 1
"""Exit code of a run in which no sample was graded."""


@dataclass(frozen=True, kw_only=True)
class RunArguments:
    """What to examine, with what, and where to keep it."""

    model: str
    """Provider and model: viva/nano, viva-chat/NAME, viva-realtime/NAME, viva-cascade/openai/NAME, or any of Inspect's."""
    out: Path
    """Run folder: logs, media, and the card made from them."""
    preset: str = "quick"
    """quick: a small fixed stratified subset; full: everything at hand."""
    data: Path | None = None
    """Folder of public sets (`viva card fetch`); without it the small authored samples run."""
    base_url: str | None = None
    """Address of the endpoint."""
    model_args: Names = ()
    """Model arguments as name=value; the flag may be repeated."""
    grader: str | None = None
    """Model that gives a second opinion on graded text, any of Inspect's; asked once for every gold label too."""
    rbr: str = DEFAULT_GRADER
    """Grader of `rbr` for a second opinion: offline, checkers, classifier:FOLDER, local:MODEL, endpoint:MODEL, none."""
    partner: str | None = None
    """Model that plays the other side of persuasion; a script otherwise."""
    only: Names = ()
    """Evaluations to run, all when not given; the flag may be repeated."""
    arms: str = ""
    """Comma-separated: text, audio_to_text, audio."""
    voices: str = ""
    """Comma-separated input voices."""
    studio: str = "auto"
    """Voices and judges: auto, packages, tones (a test double)."""
    seed: int = 0
    """Chooses items and seeds answers."""
    limit: int | None = None
    """At most so many items an evaluation."""
    resume: bool = False
    """Go on in a folder that holds a part of this run."""
    price_in: float = 0.0
    """Price of a minute of speech sent, for the estimate."""
    price_out: float = 0.0
    """Price of a minute of speech received."""
    seconds_a_sample: float | None = None
    """Guess of the time of a sample, for the estimate before the first is measured; 0.4 for a model in this process
    (measured: nano on two idle cores), 1 for any other."""
    dry: bool = False
    """Print the estimate and stop."""

    def guess_seconds(self) -> float:
        """Seconds that a sample may take, before one is measured."""
        if self.seconds_a_sample is not None:
            return self.seconds_a_sample
        return 0.4 if self.model.startswith("viva/") else 1.0

    def make_config(self) -> CardConfig:
        """The run's configuration.

        Raises: ConfigError for a model argument without `=`.
        """
        return CardConfig(
            model=self.model,
            preset=self.preset,
            data=str(self.data) if self.data else None,
            base_url=self.base_url,
            model_args=read_pairs(join_names(self.model_args)),
            grader=self.grader,
            rbr=self.rbr,
            partner=self.partner,
            only=join_names(self.only),
            arms=self.arms,
            voices=self.voices,
            studio=self.studio,
            seed=self.seed,
            limit=self.limit,
        )


def run(arguments: Annotated[RunArguments, tyro.conf.arg(name="")]) -> int:
    """Run the card's evaluations; prints what it will take, then progress. Exits 1 where nothing at all was graded."""
    # before a numeric library is loaded: model, recogniser and voices run side by side, and pools that spin slow each other
    for name, value in _THREADS.items():
        os.environ.setdefault(name, value)
    config = arguments.make_config()
    plan = make_plan(config)
    print(_say_plan(plan, arguments))
    for name, why in plan.skipped.items():
        print(f"  not run: {name}: {why}")
    if arguments.dry:
        return 0
    num_graded = 0
    for step in run_card(config, arguments.out, plan, resume=arguments.resume):
        num_graded += step.graded
        left = "" if step.left_s is None else f", {step.left_s / 60:.1f} min left"
        why = ", ".join(f"{reason} {count}" for reason, count in sorted(step.reasons.items()))
        graded = f"graded {step.graded} of {step.num_samples}" + (f" ({why})" if why else "")
        print(f"  [{step.done}/{step.total}] {step.name}: {step.status}, {graded}{left}", flush=True)
        if not step.graded and step.example:
            print(f"      none was graded; the first says: {step.example}", flush=True)
    if not num_graded:
        why = f"none of {plan.num_samples} samples was graded" if plan.planned else "no evaluation could be run"
        print(f"nothing was measured: {why}, for the reasons above")
        return NOTHING_MEASURED
    print(f"done; `viva card report {arguments.out}` renders the card")
    return 0


def _say_plan(plan: Plan, arguments: RunArguments) -> str:
    """What a run will take: time, speech, and money where there are prices."""
    seconds = plan.num_samples * arguments.guess_seconds()
    speech = sum(item.input_s for item in plan.planned), sum(item.output_s for item in plan.planned)
    minutes = " and ".join(f"{s / 60:.{0 if s > 120 else 1}f} {way}" for s, way in zip(speech, ("in", "out")))
    prices = arguments.price_in, arguments.price_out
    cost = f"cost {plan.estimate_cost(*prices):.2f}" if any(prices) else "no prices given (--price-in, --price-out)"
    return (
        f"{len(plan.planned)} evaluations, {plan.num_samples} samples, about {seconds / 60:.{0 if seconds > 120 else 1}f} min, "
        f"minutes of speech {minutes}, {cost}"
    )


@dataclass(frozen=True, kw_only=True)
class CardSources:
    """What stands beside the run."""

    early: Path | None = None
    """Run folder of an early checkpoint."""
    cascade: Path | None = None
    """Run folder of the cascade baseline."""
    before: Path | None = None
    """Run folder of the model without mitigations."""
    framework: str = DEFAULT_FRAMEWORK
    """Preparedness framework that decides: one that ships, or a .yaml file."""
    labels: Path | None = None
    """Folder of further gold labels."""
    change_log: Path | None = None
    """Text file of changes, one a line, newest first."""
    title: str = ""
    """Title of the card."""

    def make_options(self) -> ReportOptions:
        """As `document` takes them."""
        return ReportOptions(**{name: getattr(self, name) for name in ReportOptions.__dataclass_fields__})


def report(
    folder: tyro.conf.Positional[Path],
    sources: Annotated[CardSources, tyro.conf.arg(name="")] = CardSources(),  # frozen
    out: Path | None = None,
    json: Path | None = None,
) -> int:
    """Render the card of a run folder.

    Args:
        folder: Run folder.
        sources: What stands beside it.
        out: Where to write; FOLDER/card when not given.
        json: Also write the document there.
    """
    document = build_document(folder, sources.make_options())
    target = out or folder / "card"
    write_bytes(target / "index.html", render_html(document, folder).encode())
    write_bytes(target / "card.md", render_markdown(document).encode())
    write_json(target / "card.json", document)
    write_bytes(target / "eval_results" / "vivavoce.yaml", export_hugging_face(document).encode())
    write_json(target / "every_eval_ever.json", export_every_eval_ever(document))
    if json is not None:
        write_json(json, document)
    ran = [evaluation for evaluation in document["card"]["evaluations"] if evaluation["status"] != "not run"]
    print(f"{len(ran)} of {len(document['card']['evaluations'])} evaluations; deployment: {document['verdict']}")
    print(f"card: {target / 'index.html'}")
    return 0


def decide(
    folder: tyro.conf.Positional[Path],
    sources: Annotated[CardSources, tyro.conf.arg(name="")] = CardSources(),  # frozen
    json: Path | None = None,
) -> int:
    """Exit 0 where deployment is allowed, 1 where it is not, 3 where the evidence is inconclusive.

    Args:
        folder: Run folder.
        sources: What stands beside it.
        json: Also write the decision there.
    """
    document = build_document(folder, sources.make_options())
    score = document["scorecards"][0]
    print(
        f"{score['framework']['title']}: overall {say_level(score['overall']['after']['level'])}, deploy: {score['deploy']}, "
        f"develop: {score['develop']}, harden security: {score['harden_security']}"
    )
    for category in score["categories"]:
        side = category["after"]
        span = f"{say_level(side['lowest'])} to {say_level(side['highest'])}"
        print(f"  {category['title']}: {say_level(side['level'])} (interval: {span})")
    for row in document["conditions"]:
        name = f"{row['evaluation']} {row['measure']} {row['arm']}"
        print(f"  {row['verdict']}: {name} {say_estimate(row['estimate'])}, bound {row['at_least']}")
    print(f"deployment: {document['verdict']} (an indicator from declared cut-offs; a person decides)")
    if json is not None:
        write_json(json, {"verdict": document["verdict"], "scorecard": score, "conditions": document["conditions"]})
    return EXIT_CODES[document["verdict"]]


def diff(first: tyro.conf.Positional[Path], second: tyro.conf.Positional[Path], json: Path | None = None) -> int:
    """What changed from one run to another.

    Args:
        first: Run folder of the one.
        second: Run folder of the other.
        json: Also write the comparison there.
    """
    result = compare_runs(first, second)
    print(f"{result['models'][1]} minus {result['models'][0]}; {result['num_tests']} tests, p-values by Holm")
    for row in sorted(result["rows"], key=lambda row: (row["p_adjusted"], row["evaluation"], row["arm"])):
        name = f"{row['evaluation']} {row['measure']} {row['arm']}"
        change = f"{say_estimate(row['difference'])}, +{row['gained']} −{row['lost']} of {row['num_samples']}"
        print(f"  {row['verdict']:<20} {name}: {change}, {say_p(row['p_adjusted'])}")
    if json is not None:
        write_json(json, result)
    return 0


def show() -> int:
    """List the evaluations."""
    for evaluation in EVALUATIONS.values():
        print(f"{evaluation.id} ({evaluation.area}, section {evaluation.section}): {evaluation.question}")
        print(f"    arms {', '.join(evaluation.arms)}; needs {', '.join(evaluation.needs) or 'nothing'}")
        print(f"    does not show: {evaluation.does_not_show}")
    return 0


def fetch(out: Path, only: Names = ()) -> int:
    """Download the public sets. Exits 1 where one of them could not be had; the others are kept.

    Args:
        out: Folder to fill; pass it as --data.
        only: Evaluations whose files are wanted, all when not given; the flag may be repeated.
    """
    names = join_names(only)
    check_evaluations(names)
    for name in names:
        if not any(name in source.feeds for source in list_source_files().values()):
            print(f"{name}: no public file is read by it; nothing to fetch")
    num_failed = 0
    for source, state, why in fetch_sources(out, only=names):
        num_failed += state == "failed"
        print(f"{state} {source.path} ({why or f'{source.rows} rows, {source.licence}'})", flush=True)
    if num_failed:
        print(f"{num_failed} files are missing, for the reasons above; the same command tries them again")
    return 1 if num_failed else 0


def import_result(file: tyro.conf.Positional[Path], out: Path) -> int:
    """Check a result of people and add it to a run folder.

    Args:
        file: JSON file of one finding; see docs/card.md.
        out: Run folder.
    """
    print(f"imported {import_human_result(file, out)}")
    return 0


def agreement(
    labels: Path | None = None,
    rbr: str = DEFAULT_GRADER,
    grader: str | None = None,
    out: Path | None = None,
    json: Path | None = None,
) -> int:
    """How far every grader agrees with gold labels: the rules, those of rbr, and a language model where one is named.

    Args:
        labels: Folder of further gold labels, one EVALUATION.jsonl each.
        rbr: Grader of rbr, as its commands name it; none for none.
        grader: Model to measure as a judge, any of Inspect's; one call a label.
        out: Run folder whose card shall print the second opinions' agreement so.
        json: Also write the table there.
    """
    rated = {name: measure_agreement(name, labels) for name, row in EVALUATIONS.items() if row.grader == "rules"}
    rules = {name: found.to_json() for name, found in rated.items() if found is not None}
    opinions = measure_opinions(rbr, grader, labels)
    for who, about in {"rules": {"identity": "declared rules", "evaluations": rules}, **opinions}.items():
        print(f"{who}: {about['identity']}")
        for name, found in about["evaluations"].items():
            print(f"  {name}: {say_agreement(found)}")
    if out is not None:
        write_json(out / "graders.json", opinions)
    if json is not None:
        write_json(json, {"rules": rules, **opinions})
    return 0
