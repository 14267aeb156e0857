package postern_test

import data.postern

not_numbers := [null, false, true, "", "1", "300", [], [1], {}, {"a": 1}]

test_fresh_takes_the_limit_itself_and_no_more if {
	postern.fresh({"age_s": 0}, 300)
	postern.fresh({"age_s": 300}, 300)
	not postern.fresh({"age_s": 300.001}, 300)
	not postern.fresh({"age_s": 301}, 300)
}

test_a_report_from_the_future_is_not_fresh if not postern.fresh({"age_s": -0.001}, 300)

test_a_report_without_an_age_is_not_fresh if {
	not postern.fresh({}, 300)
	not postern.fresh(null, 300)
	not postern.fresh("12", 300)
	not postern.fresh({"age": 1}, 300)
	{true | postern.fresh(input.device, 300)} == set() with input as {}
}

test_an_age_or_limit_that_is_no_number_is_not_fresh if {
	every value in not_numbers {
		not postern.fresh({"age_s": value}, 300)
		not postern.fresh({"age_s": 1}, value)
	}
}

test_at_most_and_at_least_compare_numbers_only if {
	postern.at_most(300, 300)
	not postern.at_most(300.5, 300)
	postern.at_least(300, 300)
	not postern.at_least(299.5, 300)
	every value in not_numbers {
		not postern.at_most(value, 300)
		not postern.at_most(300, value)
		not postern.at_least(value, 0)
		not postern.at_least(0, value)
	}
}

test_risk_levels_stand_in_one_order if {
	levels := ["low", "medium", "high"]
	every level, at in {"low": 0, "medium": 1, "high": 2} {
		every limit, most in {"low": 0, "medium": 1, "high": 2} {
			risk(level, limit) == at <= most
		}
	}
	count(levels) == 3
}

risk(level, limit) if {
	postern.risk_at_most(level, limit)
} else := false

test_a_level_or_limit_nobody_knows_is_never_met if {
	every level in ["LOW", "Low", "critical", "none", "", null, 0, 1, false, ["low"]] {
		not postern.risk_at_most(level, "high")
		not postern.risk_at_most("low", level)
	}
	{true | postern.risk_at_most(input.trust.risk_level, "high")} == set() with input as {}
}
