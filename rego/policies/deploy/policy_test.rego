package policies.deploy_test

import data.policies.deploy
import data.testing

job := "spiffe://acme.example/ci/payments-deploy"

digest := "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

provenance := {
	"type": "https://slsa.dev/provenance/v1",
	"verified": true,
	"builder": "https://github.com/acme/builders/.github/workflows/release.yml@refs/heads/main",
	"build_type": "https://actions.github.io/buildtypes/workflow/v1",
	"digest": digest,
	"key_id": "release",
	"source_repository": "https://github.com/acme/payments",
}

grant := {
	"id": "g-1",
	"actions": ["deploy"],
	"resources": ["prod/payments"],
	"reason": "release 41",
	"approver": "ann",
	"age_s": 120,
	"expires_at": "2026-11-02T10:30:00.000Z",
	"uses_left": 1,
}

asks(environment) := testing.request(
	job,
	"deploy",
	{"type": "environment", "id": environment, "properties": {"digest": digest}},
	{},
)

production := testing.changed(asks("prod/payments"), {"/grants": [grant], "/attestations": [provenance]})

staging := testing.changed(asks("staging/payments"), {"/attestations": [provenance]})

decided(request) := decision if {
	decision := deploy.decision with input as request
}

test_production_with_grant_and_provenance_is_allowed_and_uses_the_grant if {
	decision := decided(production)
	decision.effect == "allow"
	decision.grants == ["g-1"]
	not decision.ttl_s
}

test_one_of_several_grants_is_used if {
	wider := testing.changed(grant, {
		"/id": "g-0",
		"/resources": ["prod/*"],
		"/expires_at": "2026-11-02T13:00:00.000Z",
		"/uses_left": 5,
	})
	decided(testing.changed(production, {"/grants": [wider, grant]})).grants == ["g-1"]
	decided(testing.changed(production, {"/grants": [wider]})).grants == ["g-0"]
}

test_staging_needs_no_grant_and_uses_none if {
	decision := decided(staging)
	decision.effect == "allow"
	decision.grants == []
	decided(testing.changed(staging, {"/grants": [testing.changed(grant, {"/resources": ["staging/*"]})]})).grants == []
}

test_staging_asks_nothing_of_risk if {
	decided(testing.without(staging, "/trust/risk_level")).effect == "allow"
}

test_an_environment_that_takes_a_canary_first_constrains if {
	ledger := testing.changed(asks("prod/ledger"), {
		"/grants": [testing.changed(grant, {"/resources": ["prod/*"]})],
		"/attestations": [testing.changed(provenance, {"/source_repository": "https://github.com/acme/ledger"})],
	})
	decision := decided(ledger)
	decision.effect == "constrain"
	decision.constraints == {"max_rollout_percent": 10}
	decision.grants == ["g-1"]
}

test_risk_steps_up_and_uses_no_grant if {
	decided(testing.changed(production, {"/trust/risk_level": "medium"})).effect == "allow"
	every change in [{"/trust/risk_level": "high"}, {"/trust/risk_level": null}, {"/trust/age_s": 3601}] {
		decision := decided(testing.changed(production, change))
		decision.effect == "step_up"
		testing.unmet(decision) == ["risk_acceptable"]
		not decision.grants
	}
}

denials := [
	[{"/grants": []}, {"grant_in_hand"}],
	[{"/grants/0/actions": ["restart"]}, {"grant_in_hand"}],
	[{"/grants/0/resources": ["prod/ledger"]}, {"grant_in_hand"}],
	[{"/grants/0/resource_type": "database"}, {"grant_in_hand"}],
	[{"/grants/0/age_s": 14401}, {"grant_in_hand"}],
	[{"/attestations": []}, {"provenance_trusted", "source_expected"}],
	[{"/attestations/0/builder": "https://github.com/evil/builders"}, {"provenance_trusted", "source_expected"}],
	[{"/attestations/0/build_type": "https://example.com/by-hand"}, {"provenance_trusted", "source_expected"}],
	[{"/attestations/0/digest": "sha256:00"}, {"provenance_trusted", "source_expected"}],
	[{"/attestations/0/source_repository": "https://github.com/acme/ledger"}, {"source_expected"}],
	[{"/resource/properties": {}}, {"provenance_trusted", "source_expected"}],
	[{"/resource/properties/digest": "sha256:00"}, {"provenance_trusted", "source_expected"}],
	[{"/context/digest": "sha256:00"}, {"provenance_trusted", "source_expected"}],
	[{"/action/name": "destroy"}, {"action_known", "grant_in_hand"}],
	[{"/resource/id": "prod/other"}, {"grant_in_hand", "job_approved", "rollout_full", "source_expected"}],
	[{"/trust/session/revoked": true}, {"identity_in_good_standing"}],
	[{"/trust/credential_compromised": true}, {"identity_in_good_standing"}],
	[{"/caller/id": "spiffe://acme.example/agent/other"}, {"subject_not_caller"}],
]

test_each_lack_denies_and_is_named if {
	every row in denials {
		decision := decided(testing.changed(production, row[0]))
		decision.effect == "deny"
		{code | some code in testing.unmet(decision)} == row[1]
		not decision.grants
	}
}

test_the_deny_without_a_grant_says_how_to_get_one if {
	decision := decided(testing.changed(production, {"/grants": []}))
	startswith(decision.reasons[0].remedy, "ask for a grant")
}

test_another_job_is_not_approved if {
	other := "spiffe://acme.example/ci/other"
	decision := decided(testing.changed(production, {"/subject/id": other, "/caller/id": other}))
	decision.effect == "deny"
	testing.unmet(decision) == ["job_approved"]
}

test_nothing_left_out_or_mistyped_opens if {
	every request in testing.tampered(production, {}, testing.odd_values) {
		testing.openness(decided(request)) <= testing.openness(decided(production))
	}
	without_grant := testing.changed(production, {"/grants": []})
	every request in testing.tampered(without_grant, {"/grants": []}, testing.odd_values) {
		decided(request).effect == "deny"
	}
}
