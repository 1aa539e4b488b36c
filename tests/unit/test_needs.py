"""A test that lacks a program is skipped here and fails in CI; what can't be prepared fails everywhere."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests import needs


def test_what_is_lacking_is_skipped_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no such-a-program"):
        needs.program("such-a-program")


def test_what_is_lacking_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="such-a-program"):
        needs.program("such-a-program")


def test_what_can_not_be_prepared_fails(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="does not compile"):
        needs.run(sys.executable, "-c", "raise SystemExit('does not compile')", cwd=tmp_path)
    assert needs.run(sys.executable, "-c", "print(1)", cwd=tmp_path) == "1\n"
