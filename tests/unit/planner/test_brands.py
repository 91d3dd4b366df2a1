"""A host gets the brand of its own name or of the nearest name above it."""

import pytest

from shared.flows.brands import FALLBACK, brand_for, facts_of, hostname
from tests.unit.planner.support import brand

DEFAULT = brand("authentik-default", default=True)
EXAMPLE = brand("example.com")
SUB = brand("sub.example.com", branding_title="Sub", flow_recovery="pk-recovery")
BRANDS = (DEFAULT, EXAMPLE, SUB)


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("example.com", "example.com"),
        ("EXAMPLE.com", "example.com"),
        ("www.example.com", "example.com"),
        ("sub.example.com", "sub.example.com"),
        ("a.sub.example.com", "sub.example.com"),
        ("example.com:9000", "example.com"),
        ("example.com.", "example.com"),
        ("evilexample.com", "authentik-default"),
        ("example.com.evil", "authentik-default"),
        ("", "authentik-default"),
        (":9000", "authentik-default"),
        ("[::1]:9000", "authentik-default"),
        ("[", "authentik-default"),
    ],
)
def test_the_longest_domain_that_is_the_host_or_above_it_wins(host: str, domain: str) -> None:
    assert brand_for(host, BRANDS).domain == domain
    assert brand_for(host, reversed(BRANDS)).domain == domain


def test_a_domain_matches_in_any_case() -> None:
    assert brand_for("www.example.com", (brand("Example.COM"),)).domain == "Example.COM"


def test_an_address_in_brackets_is_a_name_too() -> None:
    assert hostname("[2001:DB8::1]:9000") == "2001:db8::1"


def test_a_default_brand_is_preferred_among_equals_only() -> None:
    assert brand_for("example.com", (EXAMPLE, brand("example.com", default=True))).default
    assert brand_for("www.example.com", (EXAMPLE, brand("com", default=True))) == EXAMPLE


def test_without_a_default_there_is_a_brand_with_all_defaults() -> None:
    assert brand_for("other.test", (EXAMPLE,)) is FALLBACK
    assert FALLBACK.domain == "fallback"


def test_a_brand_without_a_domain_matches_nothing() -> None:
    assert brand_for("example.com.", (brand(""), DEFAULT)) == DEFAULT


def test_a_plan_knows_title_and_recovery_of_the_brand() -> None:
    facts = facts_of(SUB)
    assert (facts.pk, facts.domain, facts.title, facts.flow_recovery) == (SUB.pk, "sub.example.com", "Sub", "pk-recovery")
