"""Rows of the public sets as items: one function a set, each returns [] where `--data` does not hold its file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from vivavoce.card.evaluation import Item
from vivavoce.card.sources import DataSource

STRONGREJECT = "safety/strongreject_dataset.csv"
XSTEST = "safety/xstest_prompts.csv"
DO_NOT_ANSWER = tuple(
    f"safety/donotanswer/{name}.jsonl"
    for name in (
        "discrimination_exclusion_toxicity_hateful_offensive",
        "human_chatbox",
        "information_hazard",
        "malicious_uses",
        "misinformation_harms",
    )
)
HARMBENCH = "safety/harmbench_behaviors_text_all.csv"
ADVBENCH = "safety/advbench_behaviors.csv"
TRIVIAQA = "capability/triviaqa_sm_sub.jsonl"
LAMBADA = "capability/lambada_openai.jsonl"
PIQA = "capability/piqa.jsonl"
ARC_EASY = "capability/arc_easy.jsonl"
TRUTHFULQA = "misinfo/TruthfulQA.csv"
CARD_SUBJECTS = (
    "anatomy", "astronomy", "clinical_knowledge", "college_biology", "computer_security", "global_facts",
    "high_school_biology", "sociology", "virology", "college_physics", "high_school_european_history", "world_religions",
)  # fmt: skip
MMLU_CARD = tuple(f"capability/mmlu_card12/{subject}_test.csv" for subject in CARD_SUBJECTS)
HEALTH_SUBJECTS = (
    "anatomy", "clinical_knowledge", "college_biology", "college_medicine", "medical_genetics", "professional_medicine",
)  # fmt: skip
MMLU_HEALTH = tuple(f"health/mmlu/{subject}_test.csv" for subject in HEALTH_SUBJECTS)
LETTERS = "ABCDEFGH"


def load_forbidden(source: DataSource, measure: str = "not_unsafe") -> list[Item]:
    """StrongREJECT, Do-Not-Answer, HarmBench and AdvBench, as far as they are there; AdvBench rows counted once."""
    items: list[Item] = []
    if source.has(STRONGREJECT):
        has_advbench = source.has(ADVBENCH)
        for idx, row in enumerate(source.read_csv(STRONGREJECT)):
            if not (has_advbench and row["source"] == "AdvBench"):
                items.append(_forbidden("strongreject", idx, measure, row["category"], row["forbidden_prompt"]))
    for path in DO_NOT_ANSWER:
        if source.has(path):
            name = path.rsplit("/", 1)[1].removesuffix(".jsonl")
            for idx, row in enumerate(source.read_jsonl(path)):
                items.append(
                    _forbidden(f"donotanswer-{name[:12]}", idx, measure, f"Do-Not-Answer {name}", row["prompt"])
                )
    if source.has(HARMBENCH):
        for idx, row in enumerate(source.read_csv(HARMBENCH)):
            if row.get("FunctionalCategory", "standard") == "standard":
                items.append(
                    _forbidden("harmbench", idx, measure, f"HarmBench {row['SemanticCategory']}", row["Behavior"])
                )
    if source.has(ADVBENCH):
        for idx, row in enumerate(source.read_csv(ADVBENCH)):
            items.append(_forbidden("advbench", idx, measure, "AdvBench", row["Behavior"]))
    return items


def _forbidden(name: str, idx: int, measure: str, category: str, prompt: str) -> Item:
    return Item(item_id=f"{name}-{idx}", measure=measure, category=category, prompt=prompt)


def load_xstest(source: DataSource, label: str, measure: str) -> list[Item]:
    """XSTest's `safe` (250) or `unsafe` (200) prompts, by their types."""
    if not source.has(XSTEST):
        return []
    rows = [row for row in source.read_csv(XSTEST) if row["label"] == label]
    return [
        Item(item_id=f"xstest-{row['id']}", measure=measure, category=row["type"], prompt=row["prompt"]) for row in rows
    ]


def load_mmlu(source: DataSource, paths: Iterable[str], measure: str = "accuracy") -> list[Item]:
    """MMLU subjects: with a header and 0-based answers (`mmlu_card12`), or without and lettered (`health`, `languages`)."""
    items = []
    for path in paths:
        if not source.has(path):
            continue
        subject = path.rsplit("/", 1)[1].removesuffix(".csv").removesuffix("_test")
        for idx, row in enumerate(source.read_rows(path)):
            if row[0] == "question" or len(row) < 6:
                continue
            letter = LETTERS[int(row[5])] if row[5].isdigit() else row[5]
            items.append(_choice(f"mmlu-{subject}-{idx}", measure, f"MMLU {subject}", row[0], row[1:5], letter))
    return items


def load_gold_choices(source: DataSource, path: str, name: str, measure: str = "accuracy") -> list[Item]:
    """Rows of `query`, `choices`, `gold` (ARC, PIQA, Winogender)."""
    if not source.has(path):
        return []
    return [
        _choice(
            f"{name}-{idx}",
            measure,
            name,
            row["query"].removeprefix("Question: "),
            row["choices"],
            LETTERS[row["gold"]],
        )
        for idx, row in enumerate(source.read_jsonl(path))
    ]


def load_triviaqa(source: DataSource) -> list[Item]:
    """TriviaQA questions with their aliases."""
    if not source.has(TRIVIAQA):
        return []
    return [
        Item(
            item_id=f"triviaqa-{idx}",
            measure="accuracy",
            category="TriviaQA",
            prompt=row["context"].removeprefix("Question: ").removesuffix("\nAnswer:"),
            target=tuple(dict.fromkeys([row["answer"], *row["aliases"]])),
        )
        for idx, row in enumerate(source.read_jsonl(TRIVIAQA))
    ]


def load_lambada(source: DataSource) -> list[Item]:
    """LAMBADA: the word that ends the passage."""
    if not source.has(LAMBADA):
        return []
    return [
        Item(
            item_id=f"lambada-{idx}",
            measure="accuracy",
            category="LAMBADA",
            prompt=f"Which single word comes next? {row['context']}",
            target=(row["continuation"].strip(),),
        )
        for idx, row in enumerate(source.read_jsonl(LAMBADA))
    ]


def load_medical(source: DataSource) -> list[Item]:
    """MedQA (USMLE, 4 options) and MedMCQA (dev)."""
    items = []
    medqa, medmcqa = "health/medqa_us_4opt_test.jsonl.gz", "health/medmcqa_dev.jsonl.gz"
    if source.has(medqa):
        for idx, row in enumerate(source.read_jsonl(medqa)):
            options = [row["options"][letter] for letter in "ABCD"]
            items.append(
                _choice(f"medqa-{idx}", "accuracy", "MedQA USMLE", row["question"], options, row["answer_idx"])
            )
    if source.has(medmcqa):
        for idx, row in enumerate(source.read_jsonl(medmcqa)):
            options = [row[f"op{letter}"] for letter in "abcd"]
            items.append(
                _choice(f"medmcqa-{idx}", "accuracy", "MedMCQA dev", row["question"], options, LETTERS[row["cop"] - 1])
            )
    return items


def load_belebele(source: DataSource) -> list[Item]:
    """Belebele in English, Amharic, Igbo, Northern Sotho and Zulu; the same 900 items, paired by cluster."""
    items = []
    for code in ("en", "am", "ig", "nso", "zu"):
        path = f"languages/belebele{'' if code == 'en' else '_' + code}.jsonl{'.gz' if code == 'am' else ''}"
        if not source.has(path):
            continue
        for row in source.read_jsonl(path):
            cluster = f"belebele-{row['link']}-{row['question_number']}"
            options = [row[f"mc_answer{idx}"] for idx in range(1, 5)]
            item = _choice(
                f"belebele-{code}-{len(items)}", "accuracy", code, f"{row['flores_passage']} {row['question']}", options,
                LETTERS[int(row["correct_answer_num"]) - 1],
            )  # fmt: skip
            items.append(replace(item, cluster=cluster, speakable=code == "en", attributes={"language": code}))
    return items


def load_bbq(source: DataSource) -> list[Item]:
    """BBQ, ambiguous and disambiguated apart; option order as published, the stereotyped option noted."""
    items = []
    for name in (
        "Age", "Disability_status", "Nationality", "Physical_appearance", "Religion", "Sexual_orientation",
    ):  # fmt: skip
        path = f"bias/bbq/{name}.jsonl.gz"
        if not source.has(path):
            continue
        for row in source.read_jsonl(path):
            ambiguous = row["context_condition"] == "ambig"
            measure = "ambiguous_accuracy" if ambiguous else "disambiguated_accuracy"
            options = [row["ans0"], row["ans1"], row["ans2"]]
            prompt = f"{row['context']} {row['question']}"
            item = _choice(f"bbq-{name}-{row['example_id']}", measure, name, prompt, options, LETTERS[row["label"]])
            facts = {"stereotyped": _find_stereotyped(row)}
            items.append(replace(item, cluster=f"bbq-{name}-{row['question_index']}", attributes=facts))
    return items


def _find_stereotyped(row: dict) -> str:
    """The option that the stereotype would pick for this polarity; empty where the groups do not say."""
    groups = {group.lower() for group in row["additional_metadata"].get("stereotyped_groups", [])}
    targets = [idx for idx in range(3) if row["answer_info"][f"ans{idx}"][1].lower() in groups]
    others = [idx for idx in range(3) if idx not in targets and row["answer_info"][f"ans{idx}"][1].lower() != "unknown"]
    picked = targets if row["question_polarity"] == "neg" else others
    return LETTERS[picked[0]] if len(picked) == 1 else ""


def load_jailbreaks(source: DataSource) -> list[Item]:
    """VoiceJailbreak: 30 forbidden questions, plain, with a plot, in fictional frames, and with text jailbreaks."""
    folder = "voice/voicejailbreak"
    if not source.has(f"{folder}/questions_tiny.csv"):
        return []
    items = []
    for row in source.read_csv(f"{folder}/questions_tiny_plot.csv"):
        forms = {"plain": row["question"], "plot": f"{row['plot']} {row['question']}"}
        for frame in source.read_csv(f"{folder}/voicejailbreak.csv"):
            forms[f"fiction in voice {frame['id']}"] = f"{frame['prompt']} {row['question']}"
        for frame in source.read_csv(f"{folder}/text_jailbreak_prompts.csv"):
            forms[f"text jailbreak {frame['id']}"] = f"{frame['prompt']} {row['question']}"
        for form, prompt in forms.items():
            items.append(
                Item(
                    item_id=f"voicejailbreak-{row['id']}-{form.replace(' ', '-')}",
                    measure="attack_refused",
                    category=form.rstrip("0123456789 "),
                    cluster=f"voicejailbreak-{row['id']}",
                    prompt=prompt,
                    attributes={"question": row["question"]},
                )
            )
    return items


def load_vocalbench(source: DataSource, name: str) -> list[dict]:
    """Rows of a VocalBench file, [] where it is not there."""
    path = f"voice/vocalbench/{name}.json"
    return source.read_json(path) if source.has(path) else []


def _choice(item_id: str, measure: str, category: str, prompt: str, choices: list[str], letter: str) -> Item:
    return Item(
        item_id=item_id, measure=measure, category=category, prompt=prompt, choices=tuple(choices), target=(letter,)
    )
