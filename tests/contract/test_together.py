"""How tests are handed out to several processes: whole groups, the longest first; and which of them begin flows."""

from pathlib import Path

import pytest

from tests.together import BEGINNING, LONGEST, SHARING, group_of, rank

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("named", [*SHARING, *LONGEST, *BEGINNING])
def test_what_is_named_is_there(named: str) -> None:
    assert (ROOT / named).is_dir() == named.endswith("/")
    assert (ROOT / named).exists()


def test_a_file_is_a_group_and_so_is_a_folder_that_shares_something() -> None:
    assert group_of("tests/e2e/browser/test_login.py::test_one[a::b]") == "tests/e2e/browser/"
    assert group_of("tests/e2e/cluster/test_faults.py::test_one") == "tests/e2e/cluster/test_faults.py"
    assert group_of("tests/unit/cli/test_keys.py::TestClass::test_one") == "tests/unit/cli/test_keys.py"


def test_the_longest_come_first_and_keep_their_order() -> None:
    assert [rank(f"{name}test_x.py::t" if name.endswith("/") else f"{name}::t") for name in LONGEST] == list(range(len(LONGEST)))
    assert rank("tests/unit/planner/test_brands.py::t") == len(LONGEST)
