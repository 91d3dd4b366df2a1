"""Which brand a visitor's host gets (docs/compat.md, Brands and default flows).

A brand matches its own name and the names below it. We deviate from what was observed in 2024.8 on purpose: there a
plain suffix matched (`evilexample.com` got the brand of `example.com`), and a host with a port or a trailing dot matched
nothing. Here a host matches by its name alone, and the longest domain wins.
"""

from collections.abc import Iterable
from typing import Final

from shared.contracts.definitions import BrandBody
from shared.contracts.planner import BrandFacts

FALLBACK: Final = BrandBody(pk="", domain="fallback")


def brand_for(host: str, brands: Iterable[BrandBody]) -> BrandBody:
    """The brand of a request to this host: the longest match, else the default, else a brand with all defaults."""
    name = hostname(host)
    known = sorted(brands, key=lambda brand: (not brand.default, brand.domain, brand.pk))
    matching = [brand for brand in known if _matches(name, brand.domain.lower())]
    if matching:
        return max(matching, key=lambda brand: len(brand.domain))
    return next((brand for brand in known if brand.default), FALLBACK)


def hostname(host: str) -> str:
    """The name in a `Host` header: without port, without the root's dot, in small letters."""
    if host.startswith("["):
        return host.partition("]")[0].removeprefix("[").lower()
    return host.partition(":")[0].removesuffix(".").lower()


def facts_of(brand: BrandBody) -> BrandFacts:
    """What a plan, and with it a page, knows of a brand."""
    return BrandFacts(pk=brand.pk, domain=brand.domain, title=brand.branding_title, flow_recovery=brand.flow_recovery)


def _matches(name: str, domain: str) -> bool:
    return domain != "" and (name == domain or name.endswith("." + domain))
