package policies.database_access_test

import data.policies.database_access
import data.testing

agent := "spiffe://acme.example/agent/report-bot"

asks(database) := testing.request(agent, "query", {"type": "database", "id": database, "properties": {}}, {"task": "monthly-report"})

query := asks("payroll")

decided(request) := decision if {
	decision := database_access.decision with input as request
}

test_an_approved_query_is_constrained_to_reading if {
	decision := decided(query)
	decision.effect == "constrain"
	decision.constraints == {"read_only": true, "max_rows": 1000, "statement_timeout_ms": 5000}
	testing.unmet(decision) == ["read_only_replica"]
	decision.ttl_s == 30
	decision.grants == []
}

test_a_public_replica_needs_no_constraint if {
	decision := decided(asks("holidays"))
	decision.effect == "allow"
	not decision.constraints
}

test_a_replica_that_is_not_public_is_still_constrained if {
	decision := decided(query) with data.policies.database_access.databases.payroll.read_only_replica as true
	decision.effect == "constrain"
}

test_owners_cannot_write_read_only_away if {
	limits := {"read_only": false, "max_rows": 5}
	decision := decided(query) with data.policies.database_access.databases.payroll.limits as limits
	decision.constraints.read_only == true
	decision.constraints.max_rows == 5
}

test_a_database_without_limits_gets_the_narrowest if {
	payroll := object.remove(data.policies.database_access.databases.payroll, ["limits"])
	decision := decided(query) with data.policies.database_access.databases.payroll as payroll
	decision.constraints == {"read_only": true, "max_rows": 1, "statement_timeout_ms": 1000}
}

# What is changed, the effect, and the requirements that are then unmet beside the one that always is.
denials := [
	[{"/action/name": "update"}, {"action_known"}],
	[{"/resource/id": "nowhere"}, {"action_known", "classification_fits_task", "workload_approved"}],
	[{"/resource/id": "payroll-archive"}, {"classification_fits_task"}],
	[{"/context/task": "something-else"}, {"classification_fits_task", "task_assigned"}],
	[{"/context/task": "payroll-run"}, {"task_assigned"}],
	[{"/context": {}}, {"classification_fits_task", "task_assigned"}],
	[{"/device/compliant": false}, {"device_compliant"}],
	[{"/device": {"id": "node-7", "known": false}}, {"device_compliant", "device_report_fresh"}],
	[{"/device/age_s": 300.001}, {"device_report_fresh"}],
	[{"/device/age_s": -1}, {"device_report_fresh"}],
	[{"/device/age_s": null}, {"device_report_fresh"}],
	[{"/trust/session/revoked": true}, {"identity_in_good_standing"}],
	[{"/trust/identity_disabled": true}, {"identity_in_good_standing"}],
	[{"/trust/credential_compromised": true}, {"identity_in_good_standing"}],
	[{"/caller/id": "spiffe://acme.example/agent/other"}, {"subject_not_caller"}],
	[{"/caller": {"method": "none", "relay": false}}, {"subject_not_caller"}],
]

test_each_lack_denies_and_is_named if {
	every row in denials {
		decision := decided(testing.changed(query, row[0]))
		decision.effect == "deny"
		{code | some code in testing.unmet(decision)} == row[1] | {"read_only_replica"}
		not decision.constraints
	}
}

test_another_workload_is_not_approved if {
	other := "spiffe://acme.example/agent/other"
	decision := decided(testing.changed(query, {"/subject/id": other, "/caller/id": other}))
	decision.effect == "deny"
	{"workload_approved", "task_assigned"} & {code | some code in testing.unmet(decision)} == {"workload_approved", "task_assigned"}
}

test_the_limits_themselves_are_inside if {
	decided(testing.changed(query, {"/device/age_s": 300, "/trust/age_s": 3600})).effect == "constrain"
}

test_risk_steps_up if {
	every change in [
		{"/trust/risk_level": "medium"},
		{"/trust/risk_level": "high"},
		{"/trust/risk_level": "LOW"},
		{"/trust/age_s": 3600.5},
	] {
		decision := decided(testing.changed(query, change))
		decision.effect == "step_up"
		decision.step_up == {"acr_values": ["urn:acme:acr:phr"]}
		testing.unmet(decision) == ["read_only_replica", "risk_low"]
	}
}

test_unknown_risk_steps_up if {
	decided(testing.without(query, "/trust/risk_level")).effect == "step_up"
}

# The owner's data says what a database holds; the caller's own word about it is not read.
test_the_callers_classification_counts_for_nothing if {
	claimed := testing.changed(asks("payroll-archive"), {"/resource/properties/classification": "public"})
	decided(claimed).effect == "deny"
}

test_nothing_left_out_or_mistyped_opens if {
	base := testing.openness(decided(query))
	requests := testing.tampered(query, {}, testing.odd_values)
	count(requests) > 100
	every request in requests {
		testing.openness(decided(request)) <= base
	}
}
