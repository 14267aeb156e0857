package policies.entitlement_review_test

import data.policies.entitlement_review
import data.testing

operator := "spiffe://acme.example/operator/ann"

bot := "spiffe://acme.example/agent/report-bot"

deployer := "spiffe://acme.example/ci/payments-deploy"

billing := "spiffe://acme.example/sa/billing"

mailer := "spiffe://acme.example/sa/mailer"

asks(id, action, identity) := testing.request(
	id,
	action,
	{"type": "entitlements", "id": identity, "properties": {}},
	{},
)

review_all := asks(operator, "review", "all")

grant := {
	"id": "g-9",
	"actions": ["narrow"],
	"resources": [bot],
	"reason": "quarterly review",
	"age_s": 30,
	"expires_at": "2026-11-02T11:00:00.000Z",
	"uses_left": 1,
}

narrow := testing.changed(asks(operator, "narrow", bot), {"/grants": [grant]})

decided(request) := decision if {
	decision := entitlement_review.decision with input as request
}

reported(request) := {report |
	report := entitlement_review.report with input as request
}

test_a_review_changes_nothing_and_names_who_holds_more_than_it_used if {
	decision := decided(review_all)
	decision.effect == "constrain"
	decision.constraints == {"read_only": true}
	[obligation] := decision.obligations
	obligation.type == "urn:postern:obligation:entitlement-review"
	[found.identity | some found in obligation.properties.overprivileged] == [bot, deployer]
	obligation.properties.in_use == [billing]
	obligation.properties.not_judged == [{"identity": mailer, "because": "evidence_shorter_than_window"}]
	reported(review_all) == {obligation.properties}
}

test_each_finding_names_the_narrowed_set if {
	some report in reported(review_all)
	[of_bot, of_deployer] := report.overprivileged
	of_bot.narrowed == [
		{"action": "query", "resource": "payroll"},
		{"action": "query", "resource": "warehouse/sales"},
	]
	of_bot.unused == [
		{
			"action": "query",
			"resource": "payroll-archive",
			"via": "role/report-reader",
			"last_used": "2026-06-14T07:41:00Z",
		},
		{"action": "export", "resource": "payroll", "via": "role/analyst"},
	]
	of_bot.evidence.stale == false
	of_deployer.narrowed == [
		{"action": "deploy", "resource": "prod/payments"},
		{"action": "deploy", "resource": "staging/payments"},
		{"action": "restore", "resource": "prod/payments"},
	]
	of_deployer.kept == [{"action": "restore", "resource": "prod/payments", "because": "break_glass"}]
}

test_a_right_younger_than_the_window_is_kept if {
	some report in reported(asks(operator, "review", billing))
	report.overprivileged == []
	report.in_use == [billing]
}

test_one_identity_is_reviewed_alone if {
	some report in reported(asks(operator, "review", bot))
	[found.identity | some found in report.overprivileged] == [bot]
	report.in_use == []
	report.not_judged == []
}

held := {
	"evidence": {"source": "postern", "from": "2026-05-01T00:00:00Z", "to": "2026-11-02T00:00:00Z", "complete": true},
	"granted": [{"action": "query", "resource": "a", "since": "2026-01-01T00:00:00Z"}],
	"used": [],
}

reported_of(entry) := report if {
	some report in reported(asks(operator, "review", "x")) with data.policies.entitlement_review.identities as {"x": entry}
}

test_a_use_on_the_windows_first_second_is_outside_and_the_next_inside if {
	last := {"action": "query", "resource": "a", "last_used": "2026-08-04T00:00:00Z"}
	next := {"action": "query", "resource": "a", "last_used": "2026-08-04T00:00:01Z"}
	reported_of(testing.changed(held, {"/used": [last]})).overprivileged[0].narrowed == []
	reported_of(testing.changed(held, {"/used": [next]})).in_use == ["x"]
}

test_use_of_something_else_is_no_use if {
	every used in [
		{"action": "export", "resource": "a", "last_used": "2026-11-01T00:00:00Z"},
		{"action": "query", "resource": "b", "last_used": "2026-11-01T00:00:00Z"},
		{"action": "query", "resource": "A", "last_used": "2026-11-01T00:00:00Z"},
	] {
		reported_of(testing.changed(held, {"/used": [used]})).overprivileged[0].narrowed == []
	}
}

test_what_cannot_be_judged_is_named_and_never_cut if {
	every row in [
		[{"/evidence/complete": false}, "evidence_not_complete"],
		[{"/evidence/complete": "yes"}, "evidence_not_complete"],
		[{"/evidence": {}}, "evidence_not_complete"],
		[{"/evidence/to": "yesterday"}, "evidence_not_dated"],
		[{"/evidence/from": null}, "evidence_not_dated"],
		[{"/granted/0/since": "2026-13-01T00:00:00Z"}, "evidence_not_dated"],
		[{"/used": [{"action": "query", "resource": "a", "last_used": "never"}]}, "evidence_not_dated"],
		[{"/used": [{"action": "query", "resource": "a"}]}, "evidence_not_dated"],
		[{"/evidence/from": "2026-08-04T00:00:01Z"}, "evidence_shorter_than_window"],
	] {
		report := reported_of(testing.changed(held, row[0]))
		report.not_judged == [{"identity": "x", "because": row[1]}]
		report.overprivileged == []
		report.in_use == []
	}
	reported_of(testing.changed(held, {"/evidence/from": "2026-08-04T00:00:00Z"})).not_judged == []
}

test_evidence_without_lists_is_not_judged if {
	every member in ["granted", "used"] {
		report := reported_of(object.remove(held, [member]))
		report.not_judged == [{"identity": "x", "because": "evidence_not_dated"}]
	}
}

test_old_evidence_is_shown_as_such if {
	reported_of(testing.changed(held, {"/evidence/to": "2026-10-26T10:00:00Z"})).overprivileged[0].evidence.stale == false
	reported_of(testing.changed(held, {"/evidence/to": "2026-10-26T09:59:59Z"})).overprivileged[0].evidence.stale == true
	reported_of(testing.changed(held, {"/evidence/to": "2026-11-02T10:00:01Z"})).overprivileged[0].evidence.stale == true
}

test_narrowing_with_a_grant_is_allowed_and_uses_it if {
	decision := decided(narrow)
	decision.effect == "allow"
	decision.grants == ["g-9"]
	[obligation] := decision.obligations
	count(obligation.properties.overprivileged[0].narrowed) == 2
}

test_a_review_uses_no_grant if {
	unbound := testing.changed(grant, {"/actions": ["narrow", "review"]})
	decided(testing.changed(asks(operator, "review", bot), {"/grants": [unbound]})).grants == []
}

narrowing_denials := [
	[{"/grants": []}, {"narrowing_granted"}],
	[{"/grants/0/resources": [deployer]}, {"narrowing_granted"}],
	[{"/grants/0/age_s": 14401}, {"narrowing_granted"}],
	[{"/environment/now_ns": 1794304800000000000}, {"evidence_holds"}],
	[{"/resource/id": "all", "/grants/0/resources": ["all"]}, {"evidence_holds", "identity_known"}],
	[{"/resource/id": mailer, "/grants/0/resources": [mailer]}, {"evidence_holds"}],
	[{"/action/name": "delete"}, {"action_known", "changes_allowed", "narrowing_granted"}],
	[{"/device/compliant": false}, {"device_compliant"}],
	[{"/device/age_s": 301}, {"device_report_fresh"}],
	[{"/trust/session/revoked": true}, {"identity_in_good_standing"}],
	[{"/caller/id": bot}, {"subject_not_caller"}],
]

test_each_lack_denies_narrowing_and_shows_nothing if {
	every row in narrowing_denials {
		request := testing.changed(narrow, row[0])
		decision := decided(request)
		decision.effect == "deny"
		{code | some code in testing.unmet(decision)} == row[1]
		not decision.obligations
		reported(request) == set()
	}
}

test_nobody_narrows_its_own_entitlements if {
	own := testing.changed(asks(bot, "narrow", bot), {"/grants": [grant]})
	decision := decided(own) with data.policies.entitlement_review.reviewers as [bot]
	decision.effect == "deny"
	testing.unmet(decision) == ["duties_separated"]
}

test_others_see_no_review if {
	every id in [bot, "spiffe://acme.example/operator/bob"] {
		request := asks(id, "review", "all")
		decided(request).effect == "deny"
		not decided(request).obligations
		reported(request) == set()
	}
}

test_an_identity_nobody_keeps_is_not_reviewed if {
	decision := decided(asks(operator, "review", "spiffe://acme.example/agent/other"))
	decision.effect == "deny"
	testing.unmet(decision) == ["changes_allowed", "identity_known"]
}

test_weak_assurance_or_risk_steps_up_and_shows_nothing if {
	every change in [
		{"/trust/assurance/current_level": "nist-aal1"},
		{"/trust/assurance": {}},
		{"/trust/risk_level": "medium"},
		{"/trust/age_s": 3601},
	] {
		request := testing.changed(review_all, change)
		decision := decided(request)
		decision.effect == "step_up"
		not decision.obligations
		reported(request) == set()
	}
}

test_nothing_left_out_or_mistyped_opens if {
	review_one := asks(operator, "review", mailer)
	every request in testing.tampered(review_one, {}, testing.odd_values) {
		testing.openness(decided(request)) <= 2
	}
}
