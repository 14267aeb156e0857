package postern

# The compiled module has no time builtins; what the sidecar computes (every `age_s`) needs none. These are for owners'
# data that holds timestamps.

# METADATA
# title: epoch_s(text)
# description: |
#   Seconds since 1970 of an RFC 3339 timestamp in UTC, e.g. `2026-11-02T10:00:00Z`; digits past the second are cut.
#   Undefined for anything else, a day that its month does not have included.
epoch_s(text) := sum([_days(year, month, day) * 86400, hour * 3600, minute * 60, second]) if {
	year := _digits(substring(text, 0, 4))
	month := _digits(substring(text, 5, 2))
	day := _digits(substring(text, 8, 2))
	hour := _digits(substring(text, 11, 2))
	minute := _digits(substring(text, 14, 2))
	second := _digits(substring(text, 17, 2))
	_punctuated(text)
	month >= 1
	month <= 12
	day >= 1
	day <= _days_in(year, month)
	hour <= 23
	minute <= 59
	second <= 59
}

# What is left when the digits of `2026-11-02T10:00:00` are taken out, and what may follow.
_punctuated(text) if {
	marks := [substring(text, at, 1) | some at in [4, 7, 10, 13, 16]]
	marks == ["-", "-", "T", ":", ":"]
	_fraction(substring(text, 19, -1))
}

_fraction("Z")

_fraction(rest) if {
	startswith(rest, ".")
	endswith(rest, "Z")
	count(rest) >= 3
	count(rest) <= 11
	_digits(trim_suffix(trim_prefix(rest, "."), "Z"))
}

# to_number alone would take signs, points and exponents as well.
_digits(text) := to_number(text) if {
	text != ""
	every character in split(text, "") {
		character >= "0"
		character <= "9"
	}
}

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
