"""Which flow a visitor gets who names none."""

import pytest

from shared.kernel.errors import Unavailable
from tests.unit.planner.support import Published, ScriptedPolicy, brand, flow, located


async def test_the_brands_flow_comes_first_and_its_policies_are_not_asked() -> None:
    policy = ScriptedPolicy({"p": "fail"})
    shop = brand("x.example", flow_authentication="pk-z", flow_invalidation="pk-out")
    catalog = Published().add(shop, flow("a"), flow("z", policies=("p",)), flow("out", designation="invalidation"))
    assert (await located(catalog, policy, designation="authentication")).slug == "z"
    assert (await located(catalog, policy, designation="invalidation")).slug == "out"
    assert policy.asked == []


async def test_without_one_the_first_by_slug_whose_policies_pass_is_taken() -> None:
    policy = ScriptedPolicy({"p": "fail", "q": "error"})
    catalog = Published().add(flow("d"), flow("c", policies=("r",)), flow("b", policies=("q",)), flow("a", policies=("p",)))
    found = await located(catalog, policy, designation="authentication")
    assert found.slug == "c"
    assert [verdict.outcome for verdict in found.verdicts] == ["fail", "error", "pass"]
    assert [asked.purpose for asked in policy.asked] == ["flow"] * 3


async def test_the_authentication_requirement_is_not_considered_here() -> None:
    catalog = Published().add(flow("a", authentication="require_superuser"))
    assert (await located(catalog, designation="authentication")).slug == "a"


async def test_a_brands_flow_that_is_gone_counts_as_none() -> None:
    catalog = Published().add(brand("x.example", flow_authentication="pk-gone"), flow("a"))
    assert (await located(catalog, designation="authentication")).slug == "a"


async def test_another_hosts_brand_does_not_count() -> None:
    catalog = Published().add(brand("x.example", flow_authentication="pk-z"), flow("a"), flow("z"))
    found = await located(catalog, host="y.example", designation="authentication")
    assert found.slug == "a"
    assert found.brand is not None
    assert found.brand.domain == "fallback"


async def test_there_may_be_none() -> None:
    assert (await located(Published(), designation="authentication")).slug is None
    assert (
        await located(Published().add(flow("a", policies=("p",))), ScriptedPolicy({"p": "fail"}), designation="authentication")
    ).slug is None


@pytest.mark.parametrize("designation", ["enrollment", "recovery", "unenrollment", "authorization", "stage_configuration"])
async def test_only_logging_in_and_out_have_a_default(designation: str) -> None:
    catalog = Published().add(flow("a", designation=designation), brand("x.example", flow_recovery="pk-a", flow_unenrollment="pk-a"))
    assert (await located(catalog, designation=designation)).slug is None


async def test_a_flow_is_found_by_its_slug_unasked() -> None:
    policy = ScriptedPolicy({"p": "fail"})
    catalog = Published().add(flow("a", policies=("p",)))
    assert (await located(catalog, policy, flow="a")).slug == "a"
    assert (await located(catalog, policy, flow="b")).slug is None
    assert policy.asked == []


async def test_a_policy_service_that_is_away_gives_no_answer_instead_of_a_wrong_one() -> None:
    with pytest.raises(Unavailable):
        await located(Published().add(flow("a", policies=("p",))), ScriptedPolicy(away=True), designation="authentication")
