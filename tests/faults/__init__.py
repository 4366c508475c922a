"""What breaks in a cloud, and how it comes back."""

import pytest

pytest.register_assert_rewrite("tests.faults.plant", "tests.faults.town")
