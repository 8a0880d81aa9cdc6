"""The sun: against published almanacs, and NOAA's equations written out here."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scheduling.kinds.base import Context
from scheduling.kinds.solar import KIND
from scheduling.triggers.base import firings
from scheduling.triggers.solar import (
    EVENTS,
    HORIZON,
    Place,
    SolarTrigger,
    instant_on,
)
from scheduling.triggers.solar_words import remarks_on_sun

BERLIN = Place(52.52, 13.405)
NEW_YORK = Place(40.7128, -74.006)
QUITO = Place(-0.1807, -78.4678)
SYDNEY = Place(-33.8688, 151.2093)
TROMSO = Place(69.6492, 18.9553)
LONGYEARBYEN = Place(78.2232, 15.6267)
OSLO_TIME = "Europe/Oslo"


def batched_pairs(words: list[str]) -> list[tuple[str, str]]:
    return list(zip(words[::2], words[1::2], strict=True))


# What almanacs print, in the place's own time; "-" is an event that does not come.
ALMANAC = """
place        latitude longitude zone              day        events
Tromso        69.5     19.0     Etc/GMT-1         2014-04-01 dawn 03:46 sunrise 04:50 noon 11:48 sunset 18:49 dusk 19:53
Tromso        69.5     19.0     Etc/GMT-1         2014-04-30 sunrise 02:29 noon 11:41 sunset 20:58
Tromso        69.5     19.0     Etc/GMT-1         2014-05-17 sunrise 00:29 sunset 23:06
Tromso        69.5     19.0     Etc/GMT-1         2014-05-18 sunrise 00:13 sunset -
Tromso        69.5     19.0     Etc/GMT-1         2014-07-25 sunrise - sunset 23:20
Tromso        69.6492  18.9553  Europe/Oslo       2020-05-06 sunrise 02:50 noon 12:41 sunset 22:37
Longyearbyen  78.2232  15.6267  Europe/Oslo       2016-04-17 sunrise 01:58
Longyearbyen  78.2232  15.6267  Europe/Oslo       2016-04-18 sunrise 01:20 sunset -
Atlanta       33.8    -84.4     America/New_York  2009-09-06 dawn 06:50 sunrise 07:15 noon 13:36 sunset 19:56 dusk 20:21
Decorah       43.3033 -91.7857  America/Chicago   2024-09-01 dawn 06:02 sunrise 06:32 sunset 19:41 dusk 20:11
Decorah       43.3033 -91.7857  America/Chicago   2024-09-15 dawn 06:19 sunrise 06:47 sunset 19:16 dusk 19:45
Decorah       43.3033 -91.7857  America/Chicago   2024-09-30 dawn 06:36 sunrise 07:04 sunset 18:49 dusk 19:18
Cape_Town    -33.9249  18.4241  Africa/Johannesburg 2019-06-21 sunrise 07:51 noon 12:48 sunset 17:44
Cape_Town    -33.9249  18.4241  Africa/Johannesburg 2018-12-21 sunrise 05:31 sunset 19:56
Hong_Kong     22.32    114.17   Asia/Hong_Kong    2026-01-01 sunrise 07:04 sunset 17:51
Hong_Kong     22.32    114.17   Asia/Hong_Kong    2026-07-01 sunrise 05:43 sunset 19:12
""".strip().splitlines()[1:]  # noqa: E501
ASKED = [
    (*line.split()[:5], event, shown)
    for line in ALMANAC
    for event, shown in batched_pairs(line.split()[5:])
]


@pytest.mark.parametrize(
    ("name", "latitude", "longitude", "zone", "day", "event", "shown"), ASKED
)
def test_the_sun_comes_and_goes_when_the_almanac_says(
    name: str,
    latitude: str,
    longitude: str,
    zone: str,
    day: str,
    event: str,
    shown: str,
) -> None:
    """Tromso 2014 and Atlanta: U.S. Naval Observatory, Sun and Moon Data for One Day.
    Tromso 2020: Almanakk for Norge. Decorah: Luther College's table of September, after
    the Naval Observatory's definitions. Longyearbyen, Cape Town and Hong Kong: tables
    made for the towns (newspapers and weather pages). Whole minutes; two are allowed,
    since they differ by one among themselves."""
    place = Place(float(latitude), float(longitude))
    found = instant_on(date.fromisoformat(day), event, place)
    if shown == "-":
        assert found is None, name
        return
    printed = datetime.fromisoformat(f"{day}T{shown}").replace(tzinfo=ZoneInfo(zone))
    assert found is not None, name
    assert abs(found - printed) <= timedelta(minutes=2), (name, found)


@pytest.mark.parametrize(
    ("place", "event", "first", "last"),
    [
        (TROMSO, "sunset", "2024-05-18", "2024-07-25"),
        (TROMSO, "sunrise", "2024-11-28", "2025-01-14"),
        (LONGYEARBYEN, "sunset", "2024-04-19", "2024-08-23"),
        (LONGYEARBYEN, "sunrise", "2024-10-26", "2025-02-15"),
    ],
)
def test_polar_day_and_night_last_as_long_as_the_almanac_says(
    place: Place, event: str, first: str, last: str
) -> None:
    """timeanddate.com and the Norwegian almanac: the midnight sun of Tromso from 18 May
    to 26 July, of Longyearbyen from 19 April to 23 August; the polar night from 27
    November to 15 January, and from 26 October to 15 February. The days at the ends
    hang on refraction and on how high one stands: two days are allowed."""
    trigger = SolarTrigger(EVENTS[event], place, name=event)
    begin, end = (datetime.fromisoformat(t).replace(tzinfo=UTC) for t in (first, last))
    [(absence, said)] = remarks_on_sun(trigger, begin + (end - begin) / 2, end)
    assert abs((absence.first - begin.date()).days) <= 2, absence
    assert abs((absence.last - end.date()).days) <= 2, absence
    does_not = "does not set" if event == "sunset" else "does not rise"
    assert f"the sun {does_not} at {place} from" in said
    middle = begin + (end - begin) / 2
    assert instant_on(middle.date(), event, place) is None
    following = trigger.next_after(middle)
    assert following is not None
    assert following.date() > absence.last


def test_the_days_beside_a_polar_day_keep_their_events() -> None:
    """On the last days before the midnight sun a sunset lies behind midnight; it is
    the sunset of the day before, and none is lost or told twice."""
    trigger = SolarTrigger(EVENTS["sunset"], TROMSO, name="sunset")
    begin = datetime(2024, 5, 1, tzinfo=UTC)
    found = firings(trigger, begin, begin + timedelta(days=18), at_most=50)
    assert [b - a for a, b in pairwise(found)] == [
        pytest.approx(timedelta(days=1), abs=timedelta(minutes=45))
    ] * (len(found) - 1)
    assert len(found) == 16
    clocks = [at.astimezone(ZoneInfo(OSLO_TIME)) for at in found]
    assert any(at.hour == 0 for at in clocks), "one falls behind midnight"


# --- an oracle of its own: NOAA's spreadsheet, by hand


def noaa_height(moment: datetime, place: Place) -> float:
    """The sun's height without refraction: the equations of NOAA's solar calculator
    (after Meeus, Astronomical Algorithms), written out."""
    days = (moment - datetime(2000, 1, 1, 12, tzinfo=UTC)) / timedelta(days=1)
    t = days / 36525
    mean_long = (280.46646 + t * (36000.76983 + t * 0.0003032)) % 360
    anomaly = math.radians(357.52911 + t * (35999.05029 - 0.0001537 * t))
    eccentricity = 0.016708634 - t * (0.000042037 + 0.0000001267 * t)
    centre = (
        math.sin(anomaly) * (1.914602 - t * (0.004817 + 0.000014 * t))
        + math.sin(2 * anomaly) * (0.019993 - 0.000101 * t)
        + math.sin(3 * anomaly) * 0.000289
    )
    omega = math.radians(125.04 - 1934.136 * t)
    apparent = math.radians(mean_long + centre - 0.00569 - 0.00478 * math.sin(omega))
    tilt = 23 + (26 + (21.448 - t * (46.815 + t * (0.00059 - t * 0.001813))) / 60) / 60
    obliquity = math.radians(tilt + 0.00256 * math.cos(omega))
    declination = math.asin(math.sin(obliquity) * math.sin(apparent))
    y = math.tan(obliquity / 2) ** 2
    long_ = math.radians(mean_long)
    equation = 4 * math.degrees(
        y * math.sin(2 * long_)
        - 2 * eccentricity * math.sin(anomaly)
        + 4 * eccentricity * y * math.sin(anomaly) * math.cos(2 * long_)
        - 0.5 * y * y * math.sin(4 * long_)
        - 1.25 * eccentricity**2 * math.sin(2 * anomaly)
    )
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    minutes = (moment - midnight) / timedelta(minutes=1)
    angle = math.radians((minutes + equation + 4 * place.longitude) / 4 - 180)
    latitude = math.radians(place.latitude)
    return math.degrees(
        math.asin(
            math.sin(latitude) * math.sin(declination)
            + math.cos(latitude) * math.cos(declination) * math.cos(angle)
        )
    )


PLACES = st.builds(
    Place,
    st.floats(-85, 85).map(lambda degrees: round(degrees, 3)),
    st.floats(-180, 180).map(lambda degrees: round(degrees, 3)),
)
CROSSINGS = sorted(name for name, event in EVENTS.items() if event.degrees is not None)


@settings(deadline=None)
@given(PLACES, st.dates(date(1990, 1, 1), date(2060, 1, 1)), st.sampled_from(CROSSINGS))
def test_the_sun_stands_where_the_event_says(
    place: Place, day: date, name: str
) -> None:
    """Where there is an instant the sun stands so high then, going the right way;
    where there is none, it does not cross that height all day."""
    event = EVENTS[name]
    assert event.degrees is not None
    found = instant_on(day, name, place)
    if found is not None:
        assert noaa_height(found, place) == pytest.approx(event.degrees, abs=0.02)
        step = timedelta(minutes=10) if event.rising else -timedelta(minutes=10)
        assume(abs(noaa_height(found + step, place) - event.degrees) > 0.02)
        assert noaa_height(found + step, place) > event.degrees
        return
    noon = instant_on(day, "noon", place)
    assert noon is not None
    side = -1 if event.rising else 1
    heights = [
        noaa_height(noon + side * timedelta(minutes=m), place) - event.degrees
        for m in range(0, 721, 5)
    ]
    is_flat = min(abs(h) for h in heights) < 0.02
    assert is_flat or all(h > 0 for h in heights) or all(h < 0 for h in heights)


@settings(deadline=None)
@given(PLACES, st.dates(date(1990, 1, 1), date(2060, 1, 1)))
def test_noon_is_the_highest_and_midnight_the_lowest(place: Place, day: date) -> None:
    noon, midnight = (instant_on(day, name, place) for name in ("noon", "midnight"))
    assert noon is not None
    assert midnight is not None
    for minutes in range(0, 701, 50):
        aside = noaa_height(noon + timedelta(minutes=minutes), place)
        assert aside <= noaa_height(noon, place) + 0.1
        assert noaa_height(midnight, place) <= aside + 0.3


@settings(deadline=None)
@given(
    st.sampled_from([BERLIN, QUITO, SYDNEY, TROMSO, LONGYEARBYEN]),
    st.sampled_from(["sunset", "dawn", "midnight"]),
    st.integers(-12 * 3600, 12 * 3600),
    st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001 - made UTC
    st.integers(0, 500),
)
def test_counting_is_walking(
    place: Place, name: str, offset_s: int, begin: datetime, days: int
) -> None:
    trigger = SolarTrigger(EVENTS[name], place, timedelta(seconds=offset_s), name)
    after = begin.replace(tzinfo=UTC)
    until = after + timedelta(days=days)
    walked = firings(trigger, after, until, at_most=1000)
    assert trigger.count(after, until) == len(walked)
    assert walked == sorted(set(walked))
    assert len(walked) <= days + 2


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("sunset", "sunset"),
        ("Sunrise + 30m", "sunrise+30m"),
        ("sunset-20m", "sunset-20m"),
        ("civil dusk + 1h30m", "civil_dusk+1h30m"),
        ("elevation 12.5 setting", "elevation 12.5 setting"),
        ("elevation -4 rising-5m", "elevation -4 rising-5m"),
        ({"event": "sunset", "offset": "-20m"}, "sunset-20m"),
        ({"event": "noon", "offset": 90}, "noon+1m30s"),
        ({"elevation": 6, "direction": "setting"}, "elevation 6 setting"),
    ],
)
def test_what_is_sent_is_kept_in_one_form(sent: object, kept: str) -> None:
    assert KIND.read(sent) == kept
    assert KIND.read(kept) == kept


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ("moonrise", '"moonrise" is none of sunrise'),
        ("golden hour", '"golden_hour" is none of'),
        ("sunset+13h", "at most twelve hours"),
        ("sunset+", "expected e.g."),
        ("", "expected e.g."),
        (7, "expected e.g."),
        ("elevation 12", "expected e.g."),
        ({"elevation": 12}, "direction"),
        ({"event": "elevation", "elevation": 91, "direction": "rising"}, "-90 to 90"),
        ({"event": "sunset", "at": 1}, "at: expected event"),
        ({"event": "sunset", "elevation": 3}, "takes no elevation"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_reason(
    sent: object, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        KIND.read(sent)


def test_a_move_changes_the_offset_and_never_names_a_time() -> None:
    assert KIND.moved("sunset", -1200) == "sunset-20m"
    assert KIND.moved("sunset-20m", 1200) == "sunset"
    assert KIND.moved("sunset+11h", 7200) is None, "kept beside the rule"


def test_words_say_when_and_where() -> None:
    zone = ZoneInfo("Europe/Berlin")
    context = Context(zone, place=BERLIN)
    for rule, said in (
        ("sunset-20m", "20 minutes before sunset at 52.52 N, 13.4 E"),
        ("noon", "At solar noon at 52.52 N, 13.4 E"),
        ("elevation 6 setting", "At the sun setting through 6 degrees at"),
    ):
        assert KIND.words(KIND.trigger(rule, context), zone).startswith(said)


def test_the_horizon_is_where_almanacs_put_it() -> None:
    assert pytest.approx(-50 / 60, abs=0.001) == HORIZON
