package policies.secret_access_test

import data.policies.secret_access
import data.testing

billing := "spiffe://acme.example/sa/billing"

orchestrated := {
	"id": billing,
	"known": true,
	"attributes": {"transactions": {"tx-91": {"secrets": ["billing/stripe-key", "billing/ca-bundle"]}}},
	"age_s": 5,
	"sources": {"orchestrator": {
		"attributes": {"transactions": {"tx-91": {"secrets": ["billing/stripe-key", "billing/ca-bundle"]}}},
		"observed_at": "2026-11-02T09:59:55.000Z",
		"age_s": 5,
	}},
}

asks(secret) := testing.changed(
	testing.request(billing, "read", {"type": "secret", "id": secret, "properties": {}}, {"transaction": "tx-91"}),
	{"/workload": orchestrated},
)

read := asks("billing/stripe-key")

decided(request) := decision if {
	decision := secret_access.decision with input as request
}

test_a_secret_that_the_transaction_needs_comes_on_a_lease if {
	decision := decided(read)
	decision.effect == "constrain"
	decision.constraints == {"secret_max_ttl_s": 60, "secret_max_uses": 1}
	testing.unmet(decision) == ["handling_plain"]
	not decision.ttl_s
}

test_one_that_is_plain_comes_as_it_is if {
	decided(asks("billing/ca-bundle")).effect == "allow"
}

test_a_leased_secret_without_terms_gets_the_shortest if {
	key := object.remove(data.policies.secret_access.secrets["billing/stripe-key"], ["lease"])
	decision := decided(read) with data.policies.secret_access.secrets["billing/stripe-key"] as key
	decision.constraints == {"secret_max_ttl_s": 1, "secret_max_uses": 1}
}

denials := [
	[{"/action/name": "write"}, {"action_known"}],
	[{"/resource/id": "billing/other"}, {"consumer_approved", "transaction_needs_secret"}],
	[{"/resource/id": "billing/smtp-password"}, {"transaction_needs_secret"}],
	[{"/context": {}}, {"transaction_needs_secret"}],
	[{"/context/transaction": "tx-92"}, {"transaction_needs_secret"}],
	[{"/context/transaction": ["tx-91"]}, {"transaction_needs_secret"}],
	[{"/workload": {"id": billing, "known": false}}, {"transaction_needs_secret"}],
	[{"/workload/sources": {}}, {"transaction_needs_secret"}],
	[{"/workload/sources/orchestrator/age_s": 301}, {"transaction_needs_secret"}],
	[{"/workload/sources/orchestrator/age_s": -1}, {"transaction_needs_secret"}],
	[{"/workload/sources": {"cmdb": orchestrated.sources.orchestrator}}, {"transaction_needs_secret"}],
	[{"/workload/sources/orchestrator/attributes/transactions": {}}, {"transaction_needs_secret"}],
	[{"/device/compliant": false}, {"device_compliant"}],
	[{"/device/age_s": 301}, {"device_report_fresh"}],
	[{"/device": {"known": false}}, {"device_compliant", "device_report_fresh"}],
	[{"/trust/session/revoked": true}, {"identity_in_good_standing"}],
	[{"/trust/identity_disabled": true}, {"identity_in_good_standing"}],
	[{"/caller/id": "spiffe://acme.example/agent/other"}, {"subject_not_caller"}],
]

test_each_lack_denies_and_is_named if {
	every row in denials {
		decision := decided(testing.changed(read, row[0]))
		decision.effect == "deny"
		{code | some code in testing.unmet(decision)} == row[1] | {"handling_plain"}
		not decision.constraints
	}
}

test_another_service_account_is_no_consumer if {
	other := "spiffe://acme.example/sa/other"
	decision := decided(testing.changed(read, {"/subject/id": other, "/caller/id": other}))
	testing.unmet(decision) == ["consumer_approved", "handling_plain"]
}

# A newer word of somebody else about something else does not make the list of transactions young again.
test_a_fresh_report_of_another_source_refreshes_nothing if {
	decision := decided(testing.changed(read, {
		"/workload/sources/orchestrator/age_s": 4000,
		"/workload/age_s": 1,
		"/workload/sources/registry": {"attributes": {"image": "sha256:00"}, "age_s": 1},
	}))
	decision.effect == "deny"
}

test_what_the_caller_says_its_transaction_needs_counts_for_nothing if {
	decision := decided(testing.changed(asks("billing/smtp-password"), {"/context/transactions": {"tx-91": {"secrets": ["billing/smtp-password"]}}}))
	decision.effect == "deny"
}

test_risk_steps_up if {
	every change in [{"/trust/risk_level": "medium"}, {"/trust/risk_level": "high"}, {"/trust/age_s": 3601}] {
		decision := decided(testing.changed(read, change))
		decision.effect == "step_up"
		decision.step_up.acr_values == ["urn:acme:acr:phr"]
	}
	decided(testing.without(read, "/trust/risk_level")).effect == "step_up"
}

test_the_limits_themselves_are_inside if {
	decided(testing.changed(read, {"/device/age_s": 300, "/workload/sources/orchestrator/age_s": 300})).effect == "constrain"
}

test_nothing_left_out_or_mistyped_opens if {
	every request in testing.tampered(read, {}, testing.odd_values) {
		testing.openness(decided(request)) <= testing.openness(decided(read))
	}
}
