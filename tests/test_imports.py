"""Imports point one way: root files <- data <- omni <- rbr, critique <- card, serve <- cli."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "vivavoce"
LEVELS = {"data": 1, "omni": 2, "rbr": 3, "critique": 3, "card": 4, "serve": 4, "cli": 5}
# policy files: what decides, apart from what computes; they must be testable in milliseconds
TORCH_FREE = [
    "vivavoce.cli",
    "vivavoce.stats",
    "vivavoce.grading",
    "vivavoce.content",
    *(f"vivavoce.{room}.commands" for room in ("omni", "data", "rbr", "critique", "card", "serve")),
]


def find_imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write it in full"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "vivavoce" and parts[1] in LEVELS else ""


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_imports_only_from_lower_levels_or_its_own_room(path: Path) -> None:
    module = "vivavoce." + ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    room = room_of(module)
    for target in map(room_of, filter(lambda name: name.startswith("vivavoce"), find_imports(path))):
        assert target == room or LEVELS.get(target, 0) < LEVELS.get(room, 0), f"{module} imports {target}"


def test_policy_modules_import_no_torch() -> None:
    program = (
        f"import sys, importlib\nfor name in {TORCH_FREE}: importlib.import_module(name)\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
