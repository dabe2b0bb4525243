"""The suite's assertions are to be told as fully as a test's own."""

import pytest

pytest.register_assert_rewrite("connectors.suite")
