"""Small policies and the gold set, where it lies beside the checkout."""

import os
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def tiny_policy() -> dict[str, Any]:
    """Two propositions, one derived, two classes, one response type."""
    return {
        "format": 1,
        "name": "tiny",
        "version": "1",
        "classes": ["good", "bad"],
        "propositions": {"polite": {"question": "Is it polite?"}, "short": {"question": "Is it short?"}},
        "derived": {"fine": {"polite": True, "short": True}},
        "response_types": {
            "reply": {"features": ["polite", "short"], "classes": {"good": {"fine": True}, "bad": {"fine": False}}}
        },
        "content_areas": {"any": {"response_type": "reply"}},
    }


@pytest.fixture(scope="session")
def gold_folder() -> Path:
    folder = Path(os.environ.get("VIVA_RBR_GOLD", Path(__file__).parents[3] / "shared" / "data" / "rbr"))
    if not (folder / "train.jsonl").exists():
        pytest.skip("the released gold set is not here; get it with `viva rbr fetch` and set VIVA_RBR_GOLD")
    return folder
