"""A new process on a bare machine: what it imports, and that it writes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

#: What a scorer of live orders without a history does not need. A single import of these is a tenth of a second.
NEEDLESS = {
    "deltalake", "jinja2", "joblib", "lightgbm", "numpy.ma", "pandas", "pyarrow", "rich", "rule_engine", "scipy",
    "sklearn", "typer", "xlsxwriter",
}  # fmt: skip

_POLICY = """
protocol = 1
name = "flags every order"
bands = {by = "explicit", elevated = 0.0, high = 0.0, severe = 0.0}
actions = {low = "pass", elevated = "review", high = "review", severe = "review"}
"""
_CODE = """
import json, sys
from ordervet import Scorer
scorer = Scorer.open(policy=sys.argv[1] or None)
order = {"order_id": "T1", "placed_at": "2025-11-11 20:03:07", "amount_minor": 12900, "phone": "19900001234"}
decision = scorer.score(order)
print(json.dumps([decision.code, decision.action, len(decision.reasons), sorted(sys.modules)]))
"""


@pytest.mark.parametrize("is_flagged", [False, True])
def test_first_decision_imports_nothing_needless_and_writes_nothing(tmp_path: Path, is_flagged: bool):
    policy = tmp_path / "policy.toml"
    policy.write_text(_POLICY, encoding="utf-8")
    empty = tmp_path / "empty"
    empty.mkdir(mode=0o555)
    bare = {"PYTHONPATH": os.pathsep.join(sys.path), "HOME": "/nonexistent", "TMPDIR": str(empty)}

    done = subprocess.run(
        [sys.executable, "-B", "-c", _CODE, str(policy) if is_flagged else ""],
        env=bare, cwd=empty, capture_output=True, text=True, check=True,
    )  # fmt: skip
    code, action, n_reasons, modules = json.loads(done.stdout)

    assert (code, action, n_reasons > 0) == ("SCORED", "review" if is_flagged else "pass", is_flagged)
    assert not NEEDLESS & set(modules)
    assert not list(empty.iterdir())
