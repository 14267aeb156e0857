# Times that come with the request.
package differential.times

at := time.parse_rfc3339_ns(input.at)

then := time.parse_rfc3339_ns(input.then)

later if at > then

age_s := (at - then) / 1000000000

day := time.date(at)

day_there := time.date([at, input.zone])

clock := time.clock([at, input.zone])

weekday := time.weekday(at)

weekend if weekday in {"Saturday", "Sunday"}

due := time.add_date(at, input.years, input.months, input.days)

apart := time.diff(at, then)

shown := time.format(at)

shown_there := time.format([at, input.zone, "Mon, 02 Jan 2006 15:04:05 -0700 MST"])

shown_short := time.format([at, "UTC", "2006-01-02T15:04:05.000Z07:00"])

parsed := time.parse_ns("2006-01-02 15:04", input.plain)

lasting := time.parse_duration_ns(input.lasting)

open if {
	[hour, _, _] := time.clock([at, input.zone])
	hour >= 9
	hour < 17
	not weekend
}

expires := time.format(at + time.parse_duration_ns(input.lasting))
