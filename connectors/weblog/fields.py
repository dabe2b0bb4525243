"""Where personal data stands in a line: spans of columns, and what masking does to them.

Invariant: nothing outside a span is ever changed; masking a masked line changes nothing; a client that is no address (a
host name) goes as a whole, as does whatever cannot keep a harmless part.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from connectors.masks import mask_value
from ropa.connector import Mask

Span = tuple[str, int, int] | tuple[str, int, int, bytes]
"""Column, start and end in the line; and what masking puts in its place, where that cannot be ``PLACEHOLDER``."""

COLUMNS = ("ip", "user", "referer", "user-agent", "request")
"""The columns of a line that can be masked."""

PLACEHOLDER = b"-"
_NOBODY = frozenset({b"", b"-", b"unknown", b"unix", b"unix:"})
_SEPARATOR = re.compile(rb"(,(?:%(?:25)?20|[ +])*)")
_MAYBE_LIST = re.compile(rb"(?:^|,(?:%(?:25)?20|[ +])*)\[?[0-9a-fA-F]*[.:]")
"""What every list with an address has, and hardly any referer or user agent."""
_WITH_PORT = re.compile(rb"\[([0-9a-fA-F:.%]+)\](:[0-9]{1,5})?|([0-9.]+|[0-9a-fA-F:]+:[0-9.]+\.[0-9]+)(:[0-9]{1,5})")
_TOKEN = re.compile(rb'"((?:[^"\\\n]|\\.)*)(?:"|$)|\[([^\]\n]*)\]|([^\s"\[]+)')
_VALUE = re.compile(rb"(?:[A-Za-z_][A-Za-z0-9_.-]*=)?['(<]?([^'()<>;]+)")
"""What stands bare: ``name=value``, perhaps between marks."""
_WORD = re.compile(rb"\S+")
_NAMED = re.compile(rb"""(?:^|[\s=\[(;|,'"])([0-9a-fA-F:.]{3,})(?=$|[\s;%\])|,'"\\]|/[0-9]{1,3}(?![^\s;,|]))""")
"""An address among other text; not one that is part of a word or a path."""
_FORWARDED = re.compile(rb"(?:^|[\s;,])(?:for|by)=", re.IGNORECASE)
"""RFC 7239."""
_BLANK = re.compile(rb"(?:\xef\xbb\xbf|\0)*")
_TRUNCATED: dict[bytes, bytes] = {}
_KEPT = 100_000


# --- addresses ----------------------------------------------------------------------------------------------------


def split_address(text: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Split ``[2001:db8::1]:443`` into what stands before, the address, and after it; None where it is no address."""
    for before, address, after in _readings(text):
        try:
            ipaddress.ip_address(address.decode("ascii"))
        except ValueError:
            continue
        return before, address, after
    return None


def _readings(text: bytes) -> Iterable[tuple[bytes, bytes, bytes]]:
    yield b"", text, b""
    found = _WITH_PORT.fullmatch(text)
    if found is not None:
        bracketed, port, plain, plain_port = found.groups()
        yield (b"[", bracketed, b"]" + (port or b"")) if bracketed is not None else (b"", plain, plain_port)


def is_address_list(text: bytes) -> bool:
    """Tell whether a text is a list with an address (``X-Forwarded-For``); its other members, which a client may have
    written, do not matter."""
    if _MAYBE_LIST.search(text) is None:
        return False
    return any(split_address(part) is not None for part in _SEPARATOR.split(text)[::2])


def named_addresses(text: bytes) -> list[bytes]:
    """Return the addresses in a list, a ``Forwarded`` header or another text that names some."""
    parts = [*_SEPARATOR.split(text)[::2], *(found[1] for found in _NAMED.finditer(text))]
    return [split[1] for part in parts if (split := split_address(part)) is not None]


def is_proxies(text: bytes) -> bool:
    """Tell whether a field of unknown name says who sent a request on: a list with an address, a ``Forwarded`` header,
    a text that names an address; or the ``-`` that was put in the place of one."""
    return text == PLACEHOLDER or _FORWARDED.search(text) is not None or bool(named_addresses(text))


def truncate(text: bytes) -> bytes:
    """Return a list of addresses with each masked (24 bits of IPv4, 64 of IPv6), ports and separators as they are, and
    ``-`` in place of each member that is no address."""
    known = _TRUNCATED.get(text)
    if known is not None:
        return known
    pieces = _SEPARATOR.split(text)
    pieces[::2] = [_truncate_one(part) for part in pieces[::2]]
    if len(_TRUNCATED) > _KEPT:
        _TRUNCATED.clear()
    masked = _TRUNCATED[text] = b"".join(pieces)
    return masked


def _truncate_one(text: bytes) -> bytes:
    if text in _NOBODY:
        return text
    found = split_address(text)
    if found is None:
        return PLACEHOLDER
    before, address, after = found
    masked = mask_value(Mask.TRUNCATE_IP, address.decode("ascii"))
    return PLACEHOLDER if masked is None else before + str(masked).encode("ascii") + after


def mask_line(line: bytes, spans: Iterable[Span], masks: Mapping[str, Mask]) -> bytes:
    """Return a line with the spans of these columns masked, each by its mask; the line itself where nothing changes."""
    pieces, end = [], 0
    for column, start, stop, *placeholder in sorted(spans, key=_start):
        if column not in masks or start < end:
            continue
        text = line[start:stop]
        if not text:
            continue
        how = masks[column]
        masked = placeholder[0] if placeholder else truncate(text) if how is Mask.TRUNCATE_IP else PLACEHOLDER
        if masked != text:
            pieces += [line[end:start], masked]
            end = stop
    return line if not pieces else b"".join([*pieces, line[end:]])


def blank_line(line: bytes, spans: Iterable[Span]) -> bytes:
    """Return a line without any column that could be masked: what no masking of ours ever changes."""
    pieces, end = [], 0
    for _, start, stop, *_ in sorted(spans, key=_start):
        if start >= end:
            pieces.append(line[end:start])
            end = stop
    return b"\0".join([*pieces, line[end:]])


def _start(span: Span) -> int:
    return span[1]


# --- formats ------------------------------------------------------------------------------------------------------


def common_fields(line: bytes, day: int, after: int) -> list[Span]:
    """Common, combined, with or without a virtual host before and more fields behind (nginx: X-Forwarded-For)."""
    spans = _client_fields(line, day - 1)
    spans += _quoted_fields(line, after - 1, ("request", "referer", "user-agent"))
    return spans


def _client_fields(line: bytes, end: int) -> list[Span]:
    start = _BLANK.match(line).end()  # type: ignore[union-attr]
    words = [(found.start(), found.end()) for found in _WORD.finditer(line, start, end)]
    groups: list[tuple[int, int]] = []
    for begin, stop in words:
        # "1.2.3.4, 5.6.7.8": a list that came through proxies is one field.
        if groups and line[groups[-1][1] - 1 : groups[-1][1]] == b",":
            groups[-1] = (groups[-1][0], stop)
        else:
            groups.append((begin, stop))
    if not groups:
        return []
    addresses = [is_address_list(line[begin:stop]) for begin, stop in groups]
    client = _client([line[slice(*group)] for group in groups], addresses)
    spans: list[Span] = [("ip", *groups[client])]
    others = [group for at, group in enumerate(groups) if at != client and addresses[at]]
    if client and line[slice(*groups[0])] == PLACEHOLDER:
        others.append(groups[0])  # it was one
    spans += [("ip", *group) for group in others]
    users = [group for at, group in enumerate(groups) if at > client and not addresses[at]]
    if users:
        spans.append(("user", *users[0]))
        if len(users) > 1:
            spans.append(("user", users[1][0], users[-1][1]))
    return spans


def _client(words: Sequence[bytes], addresses: Sequence[bool]) -> int:
    """Return which word before the date is the client: the first, or one behind a virtual host, which may be an address
    itself, or behind what syslog or a container has put there."""
    if len(words) < 4:
        return 0
    if not any(addresses[:2]) and words[1] != PLACEHOLDER:
        # Who asked and the user follow it. The last such place counts: syslog writes "-" for what it does not know.
        for at in range(len(words) - 3, 1, -1):
            if (addresses[at] or words[at] == PLACEHOLDER) and words[at + 1] == PLACEHOLDER:
                return at
    return int(words[2] == PLACEHOLDER or (addresses[1] and not addresses[0]))


def _quoted_fields(line: bytes, start: int, names: tuple[str, ...]) -> list[Span]:
    """Quoted fields in their order; after the last named one, whatever says who sent the request on.

    A named one that is a list of addresses is that list as well: a log may lack the field that the name is of.
    """
    spans: list[Span] = []
    seen = bare = 0
    for found in _TOKEN.finditer(line, start):
        if found[1] is not None:
            if seen < len(names):
                spans.append((names[seen], *found.span(1)))
            if is_address_list(found[1]) or (seen >= len(names) and is_proxies(found[1])):
                spans.append(("ip", *found.span(1)))
            seen += 1
            continue
        if not seen:
            continue
        bare += 1
        span = found.span(2) if found[2] is not None else _value(line, *found.span(3))
        text = line[slice(*span)]
        # The first two are the status and the size.
        if is_address_list(text) or (text == PLACEHOLDER and (seen >= len(names) or bare > 2)):
            spans.append(("ip", *span))
    return spans


def _value(line: bytes, start: int, end: int) -> tuple[int, int]:
    found = _VALUE.match(line, start, end)
    return found.span(1) if found is not None else (start, end)


def _before_port(line: bytes, start: int, end: int) -> tuple[int, int]:
    """Return where an address stands whose port goes last, also after IPv6 without brackets."""
    address, colon, port = line[start:end].rpartition(b":")
    return (start, start + len(address)) if colon and port.isdigit() else (start, end)


def haproxy_fields(line: bytes, day: int, after: int) -> list[Span]:
    """HAProxy's HTTP and TCP logs: the client stands before the date; captured headers in braces."""
    # Without its port the line would have no date any more.
    spans: list[Span] = [("ip", *_before_port(line, line.rfind(b" ", 0, day - 2) + 1, day - 2))]
    quote = line.find(b'"', after)
    for braces in re.finditer(rb"\{([^}\n]*)\}", line[: quote if quote >= 0 else len(line)]):
        parts = re.compile(rb"[^|]+").finditer(line, *braces.span(1))
        spans += [("ip", *part.span()) for part in parts if is_proxies(part[0])]
    return spans + _quoted_fields(line, after, ("request",))


def s3_fields(line: bytes, day: int, after: int) -> list[Span]:  # noqa: ARG001 - one signature for all
    """Amazon S3: client, requester, the object's name, then request, referrer and user agent in quotes."""
    words = [found.span() for found in _WORD.finditer(line, after)][:5]
    names = ("ip", "user", "", "", "request")
    spans: list[Span] = [(name, *span) for name, span in zip(names, words, strict=False) if name]
    # An object's name may hold anything but blanks and quotes: the quoted fields begin after it.
    return spans + _quoted_fields(line, words[-1][1] if words else after, ("request", "referer", "user-agent"))


def elb_fields(line: bytes, day: int, after: int) -> list[Span]:  # noqa: ARG001 - one signature for all
    """Amazon's load balancers, classic and application: behind the date the balancer's name, which is no address, and
    the client with its port; of a log of connections the client, and its port as a field of its own.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html
    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-connection-logs.html
    """
    words = [found.span() for found in islice(_WORD.finditer(line, after), 2)]
    if len(words) < 2:
        return []
    first = line[slice(*words[0])]
    if first == PLACEHOLDER or split_address(first) is not None:
        return [("ip", *words[0])]
    return [("ip", *_before_port(line, *words[1])), *_quoted_fields(line, words[1][1], ("request", "user-agent"))]


def nlb_fields(line: bytes, day: int, after: int) -> list[Span]:  # noqa: ARG001 - one signature for all
    """Amazon's network load balancers: balancer, listener, and the client with its port.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-access-logs.html
    """
    words = [found.span() for found in islice(_WORD.finditer(line, after), 3)]
    return [("ip", *_before_port(line, *words[2]))] if len(words) > 2 else []
