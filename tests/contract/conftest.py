"""Lets pytest explain the assertions of the suite, which lives outside the tests."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("connectors.suite")
