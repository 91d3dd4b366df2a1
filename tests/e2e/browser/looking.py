"""A page as different visitors have it: on a narrow screen, in the light and the dark, read aloud; and the markup as it was sent."""

import json
from collections import Counter
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, Final

from tests.e2e.browser.chromium import Tab

NARROW: Final = 320
"""CSS pixels: what a 1280 px screen has at 400 % (WCAG 2.2, 1.4.10)."""

_TARGETS: Final = """
return [...document.querySelectorAll("a, button, input:not([type=hidden]):not([hidden])")].map((one) => {
  const box = one.getBoundingClientRect();
  return [one.outerHTML, box.left, box.right, box.height];
});
"""
_TEXTS: Final = """
const has_text = (one) => [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
return [...document.querySelectorAll("main *")].filter(has_text).map((one) => {
  let ground = one;
  while (getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
  return [one.textContent, getComputedStyle(one).color, getComputedStyle(ground).backgroundColor];
});
"""


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text; colours as a browser computes them, `rgb(r, g, b)`."""

    text: str
    colour: str
    ground: str

    @property
    def contrast(self) -> float:
        """WCAG's contrast ratio, 1 to 21."""
        low, high = sorted((_luminance(self.colour), _luminance(self.ground)))
        return (high + 0.05) / (low + 0.05)


@dataclass(frozen=True, slots=True)
class Target:
    """Something to press or to fill in, in CSS pixels, on a screen of `NARROW`."""

    markup: str
    left: float
    right: float
    height: float


@dataclass(frozen=True, slots=True)
class Look:
    """One page. `width` is what it takes on a screen of `NARROW`; `told` what a screen reader gets, flat."""

    title: str
    source: str
    width: int
    targets: tuple[Target, ...]
    texts: tuple[Text, ...]
    told: tuple[dict[str, Any], ...]

    def roles(self) -> Counter[str]:
        """How often each role is there."""
        return Counter(one["role"] for one in self.told)


def look_at(tab: Tab) -> Look:
    """Look at the page that this tab shows."""
    texts: list[Text] = []
    for scheme in ("light", "dark"):
        tab.emulate("setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        texts += [Text(*one) for one in tab.measured(_TEXTS)]
    tab.emulate("setEmulatedMedia", features=[])
    with tab.screen(NARROW):
        width = tab.measured("return document.scrollingElement.scrollWidth")
        targets = tuple(Target(*one) for one in tab.measured(_TARGETS))
    return Look(tab.title, _source(tab), width, targets, tuple(texts), _told(tab))


def _source(tab: Tab) -> str:
    # As it came, not as Chromium has mended it; and pages are not to be cached, so what the network said is asked for.
    told = (json.loads(line["message"])["message"] for line in tab.driver.get_log("performance"))  # type: ignore[no-untyped-call]
    pages = [one["params"] for one in told if one["method"] == "Network.responseReceived" and one["params"]["type"] == "Document"]
    return str(tab.driver.execute_cdp_cmd("Network.getResponseBody", {"requestId": pages[-1]["requestId"]})["body"])


def _told(tab: Tab) -> tuple[dict[str, Any], ...]:
    nodes = tab.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    return tuple(
        {
            "role": node["role"]["value"],
            "name": node.get("name", {}).get("value", ""),
            "description": node.get("description", {}).get("value", ""),
            **{one["name"]: one["value"].get("value") for one in node.get("properties", ())},
        }
        for node in nodes
        if not node["ignored"]
    )


def _luminance(colour: str) -> float:
    assert colour.startswith("rgb("), colour
    channels = [int(part) / 255 for part in colour[4:-1].split(",")]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


class Markup(HTMLParser):
    """Reads HTML as it was sent and refuses what a browser would mend in silence."""

    VOID: Final = frozenset(("meta", "link", "img", "input"))
    ENDS_A_PARAGRAPH: Final = frozenset(("p", "ul", "dl", "div", "form", "fieldset", "h1"))

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: Counter[str] = Counter()
        self.named: set[str] = set()
        self.language = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        assert len(values) == len(attrs), (tag, attrs)
        assert not (self.open[-1:] == ["p"] and tag in self.ENDS_A_PARAGRAPH), (self.open, tag)
        if "id" in values:
            self.ids[values["id"]] += 1
        self.named |= {values[key] for key in ("for", "aria-describedby") if key in values}
        if tag == "html":
            self.language = values.get("lang", "")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.open)
