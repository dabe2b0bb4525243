"""A second opinion on due dates, in plain integers: written from the text of the rule, sharing nothing with the product.

The rule: the period runs from the calendar day of the anchor in the controller's zone. Years and months keep the number
of the day, or take the last day of a shorter month; then weeks and days are counted on. With ``next_year`` it runs from
1 January of the year after. The last day ends with its last hour: due is whoever comes after it. A day is the number of
days since 31 December of the year 0; an instant is the number of seconds since 1970-01-01T00:00Z.
"""

LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
LAST_YEAR = 9999
EPOCH_DAY = 719163


def is_leap(year):
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def length(year, month):
    return 29 if month == 2 and is_leap(year) else LENGTHS[month - 1]


def day_number(year, month, day):
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400
    for earlier in range(1, month):
        days += length(year, earlier)
    return days + day


LAST_DAY = day_number(LAST_YEAR, 12, 31)


def date_of(number):
    year = max(1, number * 400 // 146097)
    while day_number(year + 1, 1, 1) <= number:
        year += 1
    while day_number(year, 1, 1) > number:
        year -= 1
    rest = number - day_number(year, 1, 1)
    month = 1
    while rest >= length(year, month):
        rest -= length(year, month)
        month += 1
    return year, month, rest + 1


def last_day(start, period, next_year):
    """``start``: (year, month, day); ``period``: (years, months, weeks, days). None where it lies beyond the calendar."""
    year, month, day = (start[0] + 1, 1, 1) if next_year else start
    years, months, weeks, days = period
    month_number = (year + years) * 12 + (month - 1) + months
    year, month = month_number // 12, month_number % 12 + 1
    if year > LAST_YEAR:
        return None
    number = day_number(year, month, min(day, length(year, month))) + 7 * weeks + days
    return number if number <= LAST_DAY else None


def is_due(start, period, next_year, as_of):
    """``as_of``: a day number."""
    last = last_day(start, period, next_year)
    return last is not None and as_of > last


def weekday(number):
    """Return 0 for Sunday: day 1 (1 January of year 1) was a Monday."""
    return number % 7


def last_sunday(year, month):
    number = day_number(year, month, length(year, month))
    return number - weekday(number)


def nth_sunday(year, month, nth):
    first = day_number(year, month, 1)
    return first + (7 - weekday(first)) % 7 + 7 * (nth - 1)


def at(number, hour):
    return (number - EPOCH_DAY) * 86400 + hour * 3600


def changes(zone, year):
    """Return the two instants at which the clocks of a zone change in a year, with the offset (hours) after each."""
    if zone == "Europe/Brussels":
        return ((at(last_sunday(year, 3), 1), 2), (at(last_sunday(year, 10), 1), 1))
    if zone == "America/New_York":
        return ((at(nth_sunday(year, 3, 2), 7), -4), (at(nth_sunday(year, 11, 1), 6), -5))
    if zone == "Pacific/Auckland":  # 03:00 summer time, 02:00 winter time: 14:00Z of the day before
        return ((at(nth_sunday(year, 4, 1), -10), 12), (at(last_sunday(year, 9), -10), 13))
    return ()


FIXED = {"Asia/Kolkata": 5.5, "UTC": 0, "Europe/Brussels": 1, "America/New_York": -5, "Pacific/Auckland": 13}
ZONES = tuple(FIXED)
FIRST_ZONE_YEAR, LAST_ZONE_YEAR = 2008, 2036
"""The years for which the rules above hold in all of these zones."""


def offset(zone, instant):
    """Return seconds east of Greenwich."""
    year = date_of(instant // 86400 + EPOCH_DAY)[0]
    hours = FIXED[zone]  # what holds on 1 January
    for change, after in changes(zone, year):
        if instant >= change:
            hours = after
    return int(hours * 3600)


def day_of(zone, instant):
    return (instant + offset(zone, instant)) // 86400 + EPOCH_DAY


def midnight(zone, number):
    """Return an instant within a day's change of clocks of the beginning of a local day."""
    guess = at(number, 0)
    return guess - offset(zone, guess)
