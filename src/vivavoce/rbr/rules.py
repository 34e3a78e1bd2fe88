"""A behaviour policy as data: propositions, derived propositions, classes, response types, content areas.

`load_rules` reads a YAML file and refuses it unless `check` finds that exactly one class holds for every truth
assignment. Nothing here grades text or imports torch. The file format is in docs/formats.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from vivavoce.errors import ConfigError
from vivavoce.files import digest_json

FORMAT = 1
DEFAULT_POLICY = "default"

Literals = Mapping[str, bool]
"""A conjunction: each name must have this truth value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A completion and the right answer to a proposition's question."""

    completion: str
    answer: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposition:
    """A yes/no statement about one completion."""

    name: str
    question: str
    examples: tuple[Example, ...] = ()
    make_true: str = ""
    """Instruction that makes a writer produce a completion for which it holds."""
    make_false: str = ""
    """Instruction that makes a writer avoid it."""

    @property
    def digest(self) -> str:
        """Identity of what the grader is asked: question and examples, not the writing instructions."""
        return digest_json([self.question, [[item.completion, item.answer] for item in self.examples]])[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseType:
    """How to respond: the classes of completions, best first, and the propositions whose probabilities are features."""

    name: str
    classes: Mapping[str, Literals]
    features: tuple[str, ...]
    about: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentArea:
    """What a request is about, and how it is to be responded to."""

    name: str
    area: str
    response_type: str
    code: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A policy. `digest` identifies all of it; weights and features carry it."""

    name: str
    version: str
    classes: tuple[str, ...]
    propositions: Mapping[str, Proposition]
    derived: Mapping[str, Literals]
    response_types: Mapping[str, ResponseType]
    content_areas: Mapping[str, ContentArea]
    digest: str
    source: str = field(default="", compare=False)

    def find_response_type(self, name: str) -> ResponseType:
        """The response type of that name or alias. Raises: ConfigError if there is none."""
        for kind in self.response_types.values():
            if name == kind.name or name in kind.aliases:
                return kind
        known = ", ".join(self.response_types)
        raise ConfigError(f"response type {name!r} is not in policy {self.name} {self.version}; it has {known}")

    def find_content_area(self, code_or_name: str) -> ContentArea:
        """The content area of that name or gold-set code. Raises: ConfigError if there is none."""
        for area in self.content_areas.values():
            if code_or_name in (area.name, area.code):
                return area
        raise ConfigError(f"content area {code_or_name!r} is not in policy {self.name} {self.version}")

    def list_leaves(self, response_type: str) -> tuple[str, ...]:
        """Simple propositions that decide the class for this response type, in the file's order."""
        kind = self.find_response_type(response_type)
        used = {leaf for literals in kind.classes.values() for name in literals for leaf in self._expand(name)}
        return tuple(name for name in self.propositions if name in used)

    def list_graded(self, response_type: str) -> tuple[str, ...]:
        """Propositions to grade for this response type: those that decide the class and those that are features."""
        wanted = {*self.list_leaves(response_type), *self.find_response_type(response_type).features}
        return tuple(name for name in self.propositions if name in wanted)

    def _expand(self, name: str) -> Iterator[str]:
        if name in self.derived:
            for child in self.derived[name]:
                yield from self._expand(child)
        else:
            yield name

    def holds(self, literals: Literals, truths: Mapping[str, Any]) -> Any:
        """Whether a conjunction holds. truths: bools, or arrays of them (then the result is an array).

        Raises: KeyError if a proposition it needs has no truth value.
        """
        result: Any = True
        for name, wanted in literals.items():
            value = self.holds(self.derived[name], truths) if name in self.derived else truths[name]
            result = result & (value if wanted else value ^ True)
        return result

    def assign_class(self, response_type: str, truths: Mapping[str, bool]) -> str:
        """The class of a completion with these truth values.

        Raises: ConfigError if a value is missing, or not exactly one class holds.
        """
        kind = self.find_response_type(response_type)
        missing = [name for name in self.list_leaves(response_type) if name not in truths]
        if missing:
            raise ConfigError(f"no truth value for {', '.join(missing)}; response type {kind.name} needs them")
        plain = {name: bool(value) for name, value in truths.items()}
        held = [name for name, literals in kind.classes.items() if self.holds(literals, plain)]
        if len(held) != 1:
            raise ConfigError(f"{len(held)} classes hold ({', '.join(held) or 'none'}) for response type {kind.name}")
        return held[0]


class _StrictLoader(yaml.SafeLoader):
    """YAML that refuses a key twice in one mapping, which the standard loader overwrites in silence."""


def _construct_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    found: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in found:
            mark = key_node.start_mark
            raise ConfigError(f"{mark.name}, line {mark.line + 1}: {key!r} is defined twice; keep one")
        found[key] = loader.construct_object(value_node, deep=True)
    return found


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)


def find_policy(name_or_path: str | Path) -> Path:
    """A file, or the name of a policy that comes with the package. Raises: ConfigError if there is neither."""
    path = Path(name_or_path)
    if path.is_file():
        return path
    shipped = Path(str(resources.files("vivavoce.rbr") / "policies" / f"{name_or_path}.yaml"))
    if shipped.is_file():
        return shipped
    raise ConfigError(
        f"no rule file {str(name_or_path)!r}; name a YAML file, or `{DEFAULT_POLICY}` for the one that ships"
    )


def read_strict_yaml(path: Path) -> Any:
    """The document of a YAML file. Raises: ConfigError, naming file and line, if it is malformed or repeats a key."""
    try:
        with path.open(encoding="utf-8") as handle:
            return yaml.load(handle, _StrictLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error


def read_rules(name_or_path: str | Path = DEFAULT_POLICY) -> Rules:
    """The policy in a file, its shape checked but not its logic (`check.find_problems` does that).

    Raises: ConfigError naming the file and the entry that is wrong.
    """
    path = find_policy(name_or_path)
    document = read_strict_yaml(path)
    if not isinstance(document, dict):
        raise ConfigError(f"{path} holds no rules; need a mapping with {', '.join(_KEYS)}")
    try:
        return parse_rules(document, source=str(path))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


_KEYS = {
    "format", "name", "version", "classes", "propositions", "derived", "response_types", "content_areas",
}  # fmt: skip


def parse_rules(document: Mapping[str, Any], *, source: str = "") -> Rules:
    """A policy from its document. Raises: ConfigError naming the entry that is wrong."""
    _refuse_unknown(document, _KEYS, "top level")
    if document.get("format") != FORMAT:
        raise ConfigError(f"format is {document.get('format')!r}; need {FORMAT}")
    classes = tuple(_strings(document.get("classes"), "classes"))
    if len(set(classes)) != len(classes):
        raise ConfigError(f"classes lists a name twice: {', '.join(classes)}")
    propositions = {
        name: _parse_proposition(name, entry) for name, entry in _entries(document.get("propositions"), "propositions")
    }
    derived = {
        name: _parse_literals(entry, f"derived proposition {name}")
        for name, entry in _entries(document.get("derived") or {}, "derived")
    }
    return Rules(
        name=str(document.get("name", "")),
        version=str(document.get("version", "")),
        classes=classes,
        propositions=propositions,
        derived=derived,
        response_types={
            name: _parse_response_type(name, entry, classes)
            for name, entry in _entries(document.get("response_types"), "response_types")
        },
        content_areas={
            name: _parse_area(name, entry)
            for name, entry in _entries(document.get("content_areas") or {}, "content_areas")
        },
        digest=digest_json(document),
        source=source,
    )


def _entries(value: Any, where: str) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where} is {type(value).__name__}; need a mapping by name")
    for name in value:
        if not isinstance(name, str):
            raise ConfigError(f"{where} has the name {name!r}; need a word (quote it)")
    return list(value.items())


def _strings(value: Any, where: str) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{where} is {value!r}; need a list of names")
    return value


def _refuse_unknown(entry: Mapping[str, Any], known: set[str], where: str) -> None:
    if extra := sorted(str(key) for key in set(entry) - known):
        raise ConfigError(f"{where} has unknown keys {', '.join(extra)}; there are {', '.join(sorted(known))}")


def _parse_literals(entry: Any, where: str) -> dict[str, bool]:
    if not isinstance(entry, dict) or not entry or not all(isinstance(value, bool) for value in entry.values()):
        raise ConfigError(f"{where} is {entry!r}; need `name: true` or `name: false`, one at least")
    return dict(entry)


def _parse_proposition(name: str, entry: Any) -> Proposition:
    if not isinstance(entry, dict) or not str(entry.get("question", "")).strip():
        raise ConfigError(f"proposition {name} has no question")
    _refuse_unknown(entry, {"question", "examples", "make_true", "make_false"}, f"proposition {name}")
    examples = []
    for row in entry.get("examples") or []:
        if not isinstance(row, dict) or set(row) != {"completion", "answer"} or not isinstance(row["answer"], bool):
            raise ConfigError(f"an example of proposition {name} is not `completion: text, answer: true or false`")
        examples.append(Example(completion=str(row["completion"]), answer=row["answer"]))
    return Proposition(
        name=name,
        question=" ".join(str(entry["question"]).split()),
        examples=tuple(examples),
        make_true=str(entry.get("make_true", "")),
        make_false=str(entry.get("make_false", "")),
    )


def _parse_response_type(name: str, entry: Any, classes: tuple[str, ...]) -> ResponseType:
    where = f"response type {name}"
    if not isinstance(entry, dict):
        raise ConfigError(f"{where} is {entry!r}; need classes and features")
    _refuse_unknown(entry, {"about", "aliases", "features", "classes"}, where)
    rules = {
        label: _parse_literals(literals, f"class {label} of {where}")
        for label, literals in _entries(entry.get("classes"), f"classes of {where}")
    }
    if missing := [label for label in classes if label not in rules]:
        raise ConfigError(f"{where} has no rule for class {', '.join(missing)}")
    if extra := [label for label in rules if label not in classes]:
        raise ConfigError(f"{where} has a rule for {', '.join(extra)}, which `classes` does not list")
    features = tuple(_strings(entry["features"], f"features of {where}")) if "features" in entry else ()
    if len(set(features)) != len(features):
        raise ConfigError(f"{where} lists a feature twice")
    return ResponseType(
        name=name,
        classes={label: rules[label] for label in classes},
        features=features,
        about=" ".join(str(entry.get("about", "")).split()),
        aliases=tuple(entry.get("aliases") or ()),
    )


def _parse_area(name: str, entry: Any) -> ContentArea:
    if not isinstance(entry, dict) or not isinstance(entry.get("response_type"), str):
        raise ConfigError(f"content area {name} has no response_type")
    _refuse_unknown(entry, {"area", "code", "response_type", "about"}, f"content area {name}")
    return ContentArea(
        name=name,
        area=str(entry.get("area", name)),
        response_type=entry["response_type"],
        code=str(entry.get("code", "")),
        about=str(entry.get("about", "")),
    )
