"""The words human rules are made of, and the nearest one to a word that is none."""

from __future__ import annotations

from difflib import get_close_matches

WEEKDAYS = (
    *("Monday", "Tuesday", "Wednesday", "Thursday"),
    *("Friday", "Saturday", "Sunday"),
)
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight"),
    *("nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen"),
    *("sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50}
NTHS = (
    *("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"),
    *("ninth", "tenth", "eleventh", "twelfth", "thirteenth", "fourteenth"),
    *("fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth"),
)

NUMBER = {word: value for value, word in enumerate(ONES)}
ORDINAL = {
    **{word: value for value, word in enumerate(NTHS, start=1)},
    **{"twentieth": 20, "thirtieth": 30, "last": -1},
}
SUFFIXES = ("st", "nd", "rd", "th")

WEEKDAY: dict[str, int] = {}
for _n, _name in enumerate(WEEKDAYS):
    for _form in (_name.lower(), _name.lower() + "s", _name[:3].lower()):
        WEEKDAY[_form] = _n
WEEKDAY |= {"tues": 1, "weds": 2, "thur": 3, "thurs": 3}
MONTH = {name.lower(): n for n, name in enumerate(MONTHS, start=1)}
MONTH |= {name[:3].lower(): n for n, name in enumerate(MONTHS, start=1)} | {"sept": 9}

STEPS = {
    **dict.fromkeys(("second", "seconds", "sec", "secs", "s"), 1),
    **dict.fromkeys(("minute", "minutes", "min", "mins", "m"), 60),
    **dict.fromkeys(("hour", "hours", "hr", "hrs", "h"), 3600),
}
SOLAR = {
    **{"sunrise": "sunrise", "sunset": "sunset", "dawn": "dawn", "dusk": "dusk"},
    "sundown": "sunset",
}
GOLDEN = {  # "golden hour" alone is the evening's
    "morning": "morning_golden_hour",
    "evening": "evening_golden_hour",
}
SOLAR_NOON = "noon"  # said as "solar noon"; "noon" alone is 12:00
PARTS = {
    "morning": "morning",
    "mornings": "morning",
    "afternoon": "afternoon",
    "afternoons": "afternoon",
    "evening": "evening",
    "evenings": "evening",
    "night": "night",
    "nights": "night",
}
PERIODS = {
    **{"month": "month", "months": "month", "quarter": "quarter"},
    **{"quarters": "quarter", "year": "year", "years": "year"},
}
ADVERBS = {
    **{"hourly": "hour", "daily": "day", "weekly": "week", "fortnightly": "fortnight"},
    **{"monthly": "month", "quarterly": "quarter", "yearly": "year"},
    "annually": "year",
}
TWO_MEANINGS = {
    "biweekly": 'means twice a week to some; write "every 2 weeks" or name two days',
    "bimonthly": 'means twice a month to some; write "every 2 months" or two days',
    "biannual": 'means two things; write "every 6 months"',
    "biannually": 'means two things; write "every 6 months"',
    "semiweekly": "does not say on which days; name them",
    "nightly": 'does not say when; write "every day at 02:00"',
    "tonight": 'is one time, not a rule; use "run_at"',
    "today": 'is one day, not a rule; use "run_at"',
    "tomorrow": 'is one day, not a rule; use "run_at"',
    "sometimes": "does not say when",
}
ARTICLES = ("the", "a", "an")
AND = ("and", "or", "&")
TO = ("to", "until", "till", "through", "thru", "-")
EXCEPT = ("except", "excepting", "excluding", "without", "unless", "but", "not")
GLUE = (
    *("every", "each", "other", "at", "on", "in", "of", "from", "between", "for"),
    *("before", "after", "past", "half", "quarter", "once", "twice", "times", "per"),
    *("am", "pm", "noon", "midday", "midnight", "o'clock", "minute", "solar"),
    *("weekday", "weekdays", "weekend", "weekends", "day", "days", "week", "weeks"),
    *("business", "working", "workday", "workdays", "holiday", "holidays"),
    *("calendar", "fortnight", "only", "during", "if", "it", "is"),
)
KNOWN = sorted(
    {
        *NUMBER,
        *TENS,
        *ORDINAL,
        *WEEKDAY,
        *MONTH,
        *STEPS,
        *SOLAR,
        "golden",
        *PARTS,
        *PERIODS,
        *ADVERBS,
        *ARTICLES,
        *AND,
        *TO,
        *EXCEPT,
        *GLUE,
        *TWO_MEANINGS,
    }
)
EXAMPLES = (
    "every weekday at 9:00",
    "every 15 minutes",
    "every 2 hours from 9:00 to 17:00",
    "last Friday of the month at 18:00",
    "every other Tuesday at 8:00",
    "on the 1st and 15th at noon",
    "30 minutes before sunset on weekends",
    "every day at 9, 12:30 and 17:00",
    "every weekday at 9:00 except holidays",
    "on December 24 at 18:00",
    "every 2 weeks on Monday and Thursday at 8:00",
)


def nearest(word: str) -> str | None:
    """The word we know that this one was most likely meant to be."""
    longer = [known for known in KNOWN if len(known) > 2]
    found = get_close_matches(word, longer, n=1, cutoff=0.7)
    return found[0] if found else None


def example_like(text: str) -> str:
    lowered = {example.lower(): example for example in EXAMPLES}
    found = get_close_matches(text.lower(), lowered, n=1, cutoff=0.3)
    return lowered[found[0]] if found else EXAMPLES[0]
