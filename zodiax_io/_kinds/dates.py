"""Dates, times and time zones as plain data, exactly."""

from __future__ import annotations

import datetime as dt
import functools
import os
import pathlib
import re
import zoneinfo
from typing import Any

from .._trust.names import is_printable_name
from .._trust.origins import is_installed
from .base import CannotKeep, Kind, Parts, exactly
from .values import expect

DATE = Kind(
    "date",
    exactly(dt.date),
    lambda obj: Parts(value=[obj.year, obj.month, obj.day]),
    lambda parts: dt.date(*expect(parts.value, list)),
    keeps="`date`",
)


def _zone(zone: dt.tzinfo | None) -> Any:
    if zone is None:
        return None
    if type(zone) is dt.timezone:
        offset = zone.utcoffset(None)
        name = zone.tzname(None)
        unnamed = dt.timezone(offset).tzname(None) == name
        plain = [offset.days, offset.seconds, offset.microseconds]
        if not is_printable_name(name):
            raise CannotKeep(
                "The name of its time zone cannot be printed. Give the zone another."
            )
        return {"offset": plain} if unnamed else {"offset": plain, "name": name}
    if type(zone) is zoneinfo.ZoneInfo and zone.key in _zones():
        return {"key": zone.key}
    raise CannotKeep(
        "Its time zone is neither a `timezone` nor a named `ZoneInfo`. Give it one of "
        "these, such as by `x.astimezone(datetime.timezone.utc)`."
    )


# Other files in those folders (tables, other clocks) begin with a small letter.
_ZONE = re.compile(r"[A-Z][\w+-]*(/[\w+-]+)*", re.ASCII)


@functools.cache
def _zones() -> frozenset[str]:
    """The time zones of this machine: `ZoneInfo(key)` opens the file of that name.

    Not by `zoneinfo.available_timezones`, which imports `tzdata` from anywhere.
    """
    found: set[str] = set()
    for root in zoneinfo.TZPATH:
        for folder, _, files in os.walk(root):
            inner = pathlib.Path(folder).relative_to(root).parts
            keys = ("/".join((*inner, file)) for file in files)
            found.update(key for key in keys if _ZONE.fullmatch(key))
    if not found and is_installed("tzdata"):
        found = zoneinfo.available_timezones()
    return frozenset(found)


def _from_zone(plain: Any) -> dt.tzinfo | None:
    if plain is None:
        return None
    if "key" in plain:
        key = expect(plain["key"], str)
        if key not in _zones():
            raise ValueError(f"this machine has no time zone {key!r:.80}")
        return zoneinfo.ZoneInfo(key)
    days, seconds, microseconds = (expect(n, int) for n in plain["offset"])
    offset = dt.timedelta(days, seconds, microseconds)
    if "name" in plain:
        if not is_printable_name(plain["name"]):
            raise ValueError("the name of a time zone cannot be printed")
        return dt.timezone(offset, plain["name"])
    return dt.UTC if not offset else dt.timezone(offset)


def _encode_time(obj: dt.time) -> Parts:
    value = [obj.hour, obj.minute, obj.second, obj.microsecond, obj.fold]
    return Parts(value=value, extra={"zone": _zone(obj.tzinfo)})


def _decode_time(parts: Parts) -> dt.time:
    *clock, fold = expect(parts.value, list)
    return dt.time(*clock, tzinfo=_from_zone(parts.extra["zone"]), fold=fold)


TIME = Kind("time", exactly(dt.time), _encode_time, _decode_time, keeps="`time`")


def _encode_datetime(obj: dt.datetime) -> Parts:
    day = [obj.year, obj.month, obj.day]
    value = [*day, obj.hour, obj.minute, obj.second, obj.microsecond, obj.fold]
    return Parts(value=value, extra={"zone": _zone(obj.tzinfo)})


def _decode_datetime(parts: Parts) -> dt.datetime:
    *moment, fold = expect(parts.value, list)
    return dt.datetime(*moment, tzinfo=_from_zone(parts.extra["zone"]), fold=fold)


DATETIME = Kind(
    "datetime",
    exactly(dt.datetime),
    _encode_datetime,
    _decode_datetime,
    keeps="`datetime`, with its time zone",
)


TIMEDELTA = Kind(
    "timedelta",
    exactly(dt.timedelta),
    lambda obj: Parts(value=[obj.days, obj.seconds, obj.microseconds]),
    lambda parts: dt.timedelta(*expect(parts.value, list)),
    keeps="`timedelta`",
)


TIMEZONE = Kind(
    "timezone",
    exactly(dt.timezone, zoneinfo.ZoneInfo),
    lambda obj: Parts(extra={"zone": _zone(obj)}),
    lambda parts: _from_zone(parts.extra["zone"]),
    keeps="`timezone` and `ZoneInfo`",
)
