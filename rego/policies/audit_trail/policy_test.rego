package policies.audit_trail_test

import data.policies.audit_trail
import data.testing

auditor := "spiffe://acme.example/auditor/zoe"

asks(id, action) := testing.request(id, action, {"type": "decision_log", "id": "starter", "properties": {}}, {})

read := asks(auditor, "read")

grant := {
	"id": "g-7",
	"actions": ["read"],
	"resources": ["starter"],
	"resource_type": "decision_log",
	"reason": "incident 12",
	"age_s": 30,
	"expires_at": "2026-11-02T11:00:00.000Z",
	"uses_left": 3,
}

decided(request) := decision if {
	decision := audit_trail.decision with input as request
}

test_reading_is_masked if {
	decision := decided(read)
	decision.effect == "constrain"
	decision.constraints.read_only == true
	"/input/context" in decision.constraints.masked_pointers
	testing.unmet(decision) == ["unmasked_allowed"]
}

test_verifying_shows_nothing_and_needs_no_mask if {
	decided(asks(auditor, "verify")).effect == "allow"
	decided(asks("spiffe://acme.example/auditor/max", "verify")).effect == "allow"
}

test_verifying_uses_no_grant if {
	unbound := testing.changed(grant, {"/actions": ["read", "verify"]})
	decided(testing.changed(asks(auditor, "verify"), {"/grants": [unbound]})).grants == []
}

test_a_grant_takes_the_mask_off_and_is_used if {
	decision := decided(testing.changed(read, {"/grants": [grant]}))
	decision.effect == "allow"
	decision.grants == ["g-7"]
}

test_a_grant_from_yesterday_does_not if {
	decided(testing.changed(read, {"/grants": [testing.changed(grant, {"/age_s": 86400})]})).effect == "constrain"
}

test_weak_assurance_or_risk_steps_up if {
	every change in [
		{"/trust/assurance/current_level": "nist-aal1"},
		{"/trust/assurance/namespace": "RFC8176"},
		{"/trust/assurance": {}},
		{"/trust/assurance": null},
		{"/trust/risk_level": "medium"},
		{"/trust/age_s": 3601},
	] {
		decision := decided(testing.changed(read, change))
		decision.effect == "step_up"
		decision.step_up.acr_values == ["urn:acme:acr:phr"]
		not decision.constraints
	}
}

denials := [
	[{"/action/name": "delete"}, {"auditor_approved"}],
	[{"/resource/id": "other"}, {"trail_known"}],
	[{"/device/compliant": false}, {"device_compliant"}],
	[{"/device/age_s": 301}, {"device_report_fresh"}],
	[{"/trust/session/revoked": true}, {"identity_in_good_standing"}],
	[{"/caller/id": "spiffe://acme.example/agent/other"}, {"subject_not_caller"}],
]

test_each_lack_denies_and_is_named if {
	every row in denials {
		decision := decided(testing.changed(read, row[0]))
		decision.effect == "deny"
		{code | some code in testing.unmet(decision)} == row[1] | {"unmasked_allowed"}
	}
}

test_others_read_nothing if {
	every id in ["spiffe://acme.example/agent/report-bot", "spiffe://acme.example/auditor/max"] {
		decision := decided(asks(id, "read"))
		decision.effect == "deny"
		testing.unmet(decision) == ["auditor_approved", "unmasked_allowed"]
	}
}

test_nothing_left_out_or_mistyped_opens if {
	every request in testing.tampered(read, {}, testing.odd_values) {
		testing.openness(decided(request)) <= testing.openness(decided(read))
	}
}
