package authz_test

import data.authz

# The five policies answer to their own resource types; their own tests say what they answer.
test_a_type_without_a_policy_denies if {
	every type in ["printer", "Database", "database ", "", null, 1, true, [], {}] {
		decision := authz.decision with input as {"resource": {"type": type}}
		decision.effect == "deny"
		codes(decision) == ["no_policy_applies"]
	}
}

test_a_request_without_a_resource_denies if {
	codes(authz.decision) == ["no_policy_applies"] with input as {}
	codes(authz.decision) == ["no_policy_applies"] with input as {"resource": {}}
	codes(authz.decision) == ["no_policy_applies"] with input as {"resource": {"id": "database"}}
	codes(authz.decision) == ["no_policy_applies"] with input as []
	codes(authz.decision) == ["no_policy_applies"] with input as null
}

test_one_policy_that_applies_speaks if {
	authz.decision.policy == "database_access" with input as {"resource": {"type": "database"}}
	authz.decision.policy == "deploy" with input as {"resource": {"type": "environment"}}
	authz.decision.policy == "secret_access" with input as {"resource": {"type": "secret"}}
	authz.decision.policy == "entitlement_review" with input as {"resource": {"type": "entitlements"}}
	authz.decision.policy == "audit_trail" with input as {"resource": {"type": "decision_log"}}
}

allow := {"effect": "allow", "reasons": [], "met": []}

test_two_policies_that_apply_deny if {
	policies := {"a": {"applies": true, "decision": allow}, "b": {"applies": true, "decision": allow}}
	decision := authz.decision with data.policies as policies
	decision.effect == "deny"
	codes(decision) == ["policy_ambiguous"]
}

test_only_true_applies if {
	every applies in [false, null, 1, "true", [true], {}] {
		policies := {"a": {"applies": applies, "decision": allow}}
		decision := authz.decision with data.policies as policies
		codes(decision) == ["no_policy_applies"]
	}
}

test_a_policy_that_gives_no_decision_denies if {
	decision := authz.decision with data.policies as {"a": {"applies": true}}
	decision.effect == "deny"
	codes(decision) == ["policy_undefined"]
}

codes(decision) := [reason.code | some reason in decision.reasons]
