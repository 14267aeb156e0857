package postern_test

import data.postern

test_epoch_s_agrees_with_opas_own_reading if {
	every text in [
		"1969-12-31T23:59:59Z",
		"1970-01-01T00:00:00Z",
		"1999-12-31T23:59:59Z",
		"2000-02-29T12:34:56Z",
		"2024-12-31T08:09:08Z",
		"2026-11-02T10:00:00Z",
		"2100-02-28T23:59:59Z",
		"2100-03-01T00:00:00Z",
	] {
		postern.epoch_s(text) == time.parse_rfc3339_ns(text) / 1000000000
	}
}

# The last days of every month, through a leap year, a year that is none, and a century's turn.
test_months_end_where_opas_end if {
	every year in [2024, 2026, 2100] {
		every month in numbers.range(1, 12) {
			every day in [28, 29, 30, 31] {
				text := sprintf("%04d-%02d-%02dT00:00:00Z", [year, month, day])
				{seconds | seconds := postern.epoch_s(text)} == {seconds |
					seconds := time.parse_rfc3339_ns(text) / 1000000000
				}
			}
		}
	}
}

test_digits_past_the_second_are_cut if {
	postern.epoch_s("2026-11-02T10:00:00.999Z") == postern.epoch_s("2026-11-02T10:00:00Z")
}

test_what_is_no_utc_timestamp_is_undefined if {
	every text in [
		"", "2026-11-02", "2026-11-02T10:00:00", "2026-11-02T10:00:00+01:00", "2026-02-29T00:00:00Z",
		"2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-04-31T00:00:00Z",
		"2100-02-29T00:00:00Z", "2026-11-02T24:00:00Z", "2026-11-02T10:60:00Z", "2026-11-02T10:00:60Z",
		" 2026-11-02T10:00:00Z", "2026-11-02T10:00:00Z\n", null, 1793613600,
	] {
		not postern.epoch_s(text)
	}
}

test_seconds_since_counts_from_the_requests_clock if {
	postern.seconds_since("2026-11-02T09:59:00Z") == 60 with input as {"environment": {"now_ns": 1793613600999000000}}
	postern.seconds_since("2026-11-02T10:00:01Z") == -1 with input as {"environment": {"now_ns": 1793613600000000000}}
	not postern.seconds_since("2026-11-02T10:00:01Z") with input as {}
}
