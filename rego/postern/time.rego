package postern

# The compiled module has no time builtins; what the sidecar computes (every `age_s`) needs none. These are for owners'
# data that holds timestamps.

# METADATA
# title: epoch_s(text)
# description: |
#   Seconds since 1970 of an RFC 3339 timestamp in UTC, e.g. `2026-11-02T10:00:00Z`; digits past the second are cut.
#   Undefined for anything else, a day that its month does not have included.
epoch_s(text) := sum([_days(year, month, day) * 86400, hour * 3600, minute * 60, second]) if {
	regex.match(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$`, text)
	[year, month, day, hour, minute, second] := [_digits(text, at) | some at in [[0, 4], [5, 2], [8, 2], [11, 2], [14, 2], [17, 2]]]
	month >= 1
	month <= 12
	day >= 1
	day <= _days_in(year, month)
	hour <= 23
	minute <= 59
	second <= 59
}

_digits(text, at) := to_number(substring(text, at[0], at[1]))

# METADATA
# title: seconds_since(text)
# description: By the request's one reading of the clock. Negative for a time to come; undefined for what is no time.
seconds_since(text) := floor(input.environment.now_ns / 1000000000) - epoch_s(text)

# Days since 1970-01-01 in the proleptic Gregorian calendar. Counted from 1 March, so that the leap day is the last of
# its year and the months' lengths fall into the pattern (153 * m + 2) / 5.
_days(year, month, day) := sum([365 * y, floor(y / 4), floor(y / 400), floor(((153 * m) + 2) / 5), day]) - shift if {
	m := (month + 9) % 12
	y := year - floor(m / 10)
	shift := floor(y / 100) + 719469
}

_days_in(year, month) := 29 if {
	month == 2
	_leap(year)
} else := [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]

_leap(year) if {
	year % 4 == 0
	year % 100 != 0
}

_leap(year) if year % 400 == 0
