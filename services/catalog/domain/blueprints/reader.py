"""YAML, strict and bounded: from bytes to values with their places, without ever building what a bomb describes.

The parser's events are read one by one onto our own stack, so nothing is composed or constructed by the YAML library:
aliases and their anchors, `<<`, directives, a second document or a tag that we do not know end the reading where they stand. Scalars follow JSON: `no`, `012`, `1:30` and dates are texts.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from services.catalog.domain.blueprints import errors
from services.catalog.domain.blueprints.errors import BlueprintRefused, Place

MAX_BYTES: Final = 1024 * 1024
MAX_SCALAR: Final = 64 * 1024  # characters
MAX_NODES: Final = 50_000
MAX_DEPTH: Final = 32

_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})\Z")
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?\Z")
_WORDS: Final = {"null": None, "Null": None, "NULL": None, "~": None, "": None} | {
    word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")
}
# Bidirectional overrides and invisible characters make an expression read differently from what it does.
_DECEPTIVE: Final = re.compile("[\u200b\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\u0080-\u0084\u0086-\u009f\u2028\u2029]")
_CORE: Final = "tag:yaml.org,2002:"
_IMPLICIT: Final = {None, "!", _CORE + "str", _CORE + "map", _CORE + "seq", _CORE + "int", _CORE + "bool", _CORE + "null", _CORE + "float"}


@dataclass(frozen=True, slots=True)
class Tagged:
    """A value under a tag of the blueprint format: a text, or a list."""

    tag: str
    value: Any
    place: Place


class Mapping(dict[str, Any]):
    """A mapping that remembers where it begins."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place


@dataclass(slots=True)
class _Open:
    """A collection that is being read."""

    value: Mapping | list[Any]
    tag: str | None
    place: Place
    key: str | None = None
    seen: set[str] = field(default_factory=set)


def read(raw: bytes, file: str, tags: frozenset[str]) -> Any:
    """The one document in these bytes, tags of the format as `Tagged`; `BlueprintRefused` for anything else."""
    start = Place(file, 1, 1)
    if len(raw) > MAX_BYTES:
        raise BlueprintRefused(errors.SIZE, f"more than {MAX_BYTES} bytes", start)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as failure:
        raise BlueprintRefused(errors.SYNTAX, f"not UTF-8 at byte {failure.start}", start) from None
    deceptive = _DECEPTIVE.search(text)
    if deceptive or "\0" in text:
        at = deceptive.start() if deceptive else text.index("\0")
        line = text.count("\n", 0, at) + 1
        raise BlueprintRefused(errors.SYNTAX, "an invisible or control character", Place(file, line, at - text.rfind("\n", 0, at)))
    return _Reading(file, tags).document(text)


class _Reading:
    def __init__(self, file: str, tags: frozenset[str]) -> None:
        self._file = file
        self._tags = tags
        self._stack: list[_Open] = []
        self._nodes = 0
        self._root: list[Any] = []

    def document(self, text: str) -> Any:
        documents = 0
        for event in self._events(text):
            match event:
                case yaml.DocumentStartEvent():
                    documents += 1
                    if documents > 1 or event.version or event.tags:
                        raise self._refused(errors.SYNTAX, "a second document, or a directive", event)
                case yaml.AliasEvent():
                    raise self._refused(errors.ALIAS, "aliases are not allowed", event)
                case yaml.ScalarEvent() | yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                    self._node(event)
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    self._close()
                case _:  # where the stream or the document begins and ends
                    pass
        if not self._root:
            raise BlueprintRefused(errors.SYNTAX, "no document", Place(self._file, 1, 1))
        return self._root[0]

    def _events(self, text: str) -> Iterator[Any]:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            yield from yaml.parse(text, Loader=loader)
        except yaml.MarkedYAMLError as failure:
            mark = failure.problem_mark or failure.context_mark
            place = Place(self._file, mark.line + 1, mark.column + 1) if mark else Place(self._file, 1, 1)
            raise BlueprintRefused(errors.SYNTAX, str(failure.problem or failure.context), place) from None
        except (yaml.YAMLError, RecursionError) as failure:
            raise BlueprintRefused(errors.SYNTAX, type(failure).__name__, Place(self._file, 1, 1)) from None

    def _node(self, event: Any) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES or len(self._stack) >= MAX_DEPTH:
            raise self._refused(errors.SIZE, f"more than {MAX_NODES} values, or deeper than {MAX_DEPTH}", event)
        if event.anchor is not None:
            raise self._refused(errors.ALIAS, "anchors are not allowed", event)
        tag = self._tag(event)
        place = self._place(event)
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event, tag, place)
        else:
            value: Mapping | list[Any] = Mapping(place) if isinstance(event, yaml.MappingStartEvent) else []
            if tag and isinstance(value, Mapping):
                raise self._refused(errors.TAG, f"{tag} does not take a mapping", event)
            self._expect_value(event)
            self._stack.append(_Open(value, tag, place))

    def _tag(self, event: Any) -> str | None:
        if event.tag in _IMPLICIT:
            return None
        if event.tag in self._tags:
            return str(event.tag)
        raise self._refused(errors.TAG, f"the tag {str(event.tag)[:100]} is not supported", event)

    def _scalar(self, event: Any, tag: str | None, place: Place) -> None:
        if len(event.value) > MAX_SCALAR:
            raise self._refused(errors.SIZE, f"a value of more than {MAX_SCALAR} characters", event)
        top = self._stack[-1] if self._stack else None
        if top and isinstance(top.value, Mapping) and top.key is None:
            self._key(top, event, tag)
        elif tag:
            self._add(Tagged(tag, event.value, place))
        else:
            self._add(_plain(event.value) if not event.style and event.implicit[0] else event.value)

    def _key(self, top: _Open, event: Any, tag: str | None) -> None:
        if tag:
            raise self._refused(errors.TAG, "a key with a tag", event)
        if event.value == "<<" and not event.style:
            raise self._refused(errors.ALIAS, "merge keys are not allowed", event)
        if event.value in top.seen:
            raise self._refused(errors.DUPLICATE, f"the key {event.value[:100]} for the second time", event)
        top.seen.add(event.value)
        top.key = event.value

    def _expect_value(self, event: Any) -> None:
        top = self._stack[-1] if self._stack else None
        if top and isinstance(top.value, Mapping) and top.key is None:
            raise self._refused(errors.SYNTAX, "a key that is not a text", event)

    def _close(self) -> None:
        done = self._stack.pop()
        self._add(Tagged(done.tag, done.value, done.place) if done.tag else done.value)

    def _add(self, value: Any) -> None:
        if not self._stack:
            self._root.append(value)
            return
        top = self._stack[-1]
        if isinstance(top.value, list):
            top.value.append(value)
        elif top.key is not None:
            top.value[top.key] = value
            top.key = None

    def _place(self, event: Any) -> Place:
        return Place(self._file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _refused(self, reason: str, text: str, event: Any) -> BlueprintRefused:
        return BlueprintRefused(reason, text, self._place(event))


def _plain(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.match(text) and text != "-0":
        return int(text)
    if _NUMBER.match(text):
        # A number that would be written differently stays the text that it is: a version `1.10`, a code `1e400`, a thousand digits.
        number = float(text)
        return number if repr(number) == text else text
    return text
