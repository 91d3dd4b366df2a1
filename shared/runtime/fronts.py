"""What is usually forgotten when a front is put before Sluice, said at start: from the settings alone, so by their hints."""

from collections.abc import Iterator
from ipaddress import ip_address

from shared.kernel.places import authority_of
from shared.kernel.variables import variable
from shared.runtime.settings import CommonSettings


def warnings(settings: CommonSettings) -> Iterator[str]:
    """Sentences, each with the setting that it is about."""
    hints = list(_hints_of_tls(settings))
    if hints and not settings.trusted_proxies:
        yield (
            f"{variable('trusted_proxies')} is not set, yet {' and '.join(hints)}: if a front ends TLS before this process, its address belongs there. "
            "Until then everybody has the front's address, cookies are not Secure, and older browsers' forms are refused"
        )
    if any(network.prefixlen == 0 for network in settings.trusted_proxies):
        yield f"{variable('trusted_proxies')} has a network of all addresses: every visitor may say who they are"
    if settings.trusted_proxies and not settings.allowed_hosts:
        yield f"{variable('allowed_hosts')} is not set: every host that anybody names is served. Set it to the names that your front has"
    if settings.trusted_proxies and settings.cookie_host_prefix is False:
        yield f"{variable('cookie_host_prefix')} is false: a site beside this one can give browsers a session of its own"


def _hints_of_tls(settings: CommonSettings) -> Iterator[str]:
    if settings.cookie_host_prefix:
        yield f"{variable('cookie_host_prefix')} is true"
    if getattr(settings, "cookie_same_site", "Lax") == "None":
        yield f"{variable('cookie_same_site')} is None"
    if settings.hsts_subdomains:
        yield f"{variable('hsts_subdomains')} is true"
    if names := [host for host in settings.allowed_hosts if _is_public(host)]:
        yield f"{variable('allowed_hosts')} has {', '.join(names)}"
    if not _is_loopback(settings.listen.host):
        yield f"{variable('listen')} is {settings.listen}"


def _is_public(host: str) -> bool:
    authority = authority_of(host)
    name = authority.host.strip("[]") if authority else ""
    return name != "localhost" and not name.endswith(".localhost") and not _is_loopback(name)


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
