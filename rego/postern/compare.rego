package postern

# Rego orders null and false before every number, and every number before every string: `null <= 300` is true. So each
# comparison here asks for the type first, and what is not comparable is not met.

# METADATA
# title: fresh(report, max_age_s)
# description: |
#   A report with an `age_s` from 0 to the limit, both included. A report without an age is not fresh, nor is one from
#   the future.
fresh(report, max_age_s) if {
	is_number(report.age_s)
	is_number(max_age_s)
	report.age_s >= 0
	report.age_s <= max_age_s
}

# METADATA
# title: at_most(value, limit)
at_most(value, limit) if {
	is_number(value)
	is_number(limit)
	value <= limit
}

# METADATA
# title: at_least(value, limit)
at_least(value, limit) if {
	is_number(value)
	is_number(limit)
	value >= limit
}

# METADATA
# title: risk_at_most(level, limit)
# description: |
#   Levels are `low`, `medium` and `high`, as CAEP's risk-level-change names them, in lower case. A level that is none of
#   the three is above every limit, and a limit that is none of the three is below every level.
risk_at_most("low", limit) if limit in {"low", "medium", "high"}

risk_at_most("medium", limit) if limit in {"medium", "high"}

risk_at_most("high", "high")
