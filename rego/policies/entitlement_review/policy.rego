# METADATA
# scope: package
# title: An operator reviews entitlements
# description: |
#   Reviewing lists what identities hold beyond their use and changes nothing. Narrowing one identity to the set that the
#   review names takes a just-in-time grant, evidence that is not old, and somebody other than that identity.
package policies.entitlement_review

import data.postern

applies if input.resource.type == "entitlements"

requirements := {
	"action_known": {
		"otherwise": "deny",
		"remedy": "the actions on entitlements are review and, for one identity, narrow",
	},
	"reviewer_approved": {
		"otherwise": "deny",
		"remedy": "ask the identity owners to approve this reviewer",
	},
	"identity_known": {
		"otherwise": "deny",
		"remedy": "name an identity whose entitlements are kept here, or all",
	},
	"duties_separated": {
		"otherwise": "deny",
		"remedy": "have somebody else narrow these entitlements",
	},
	"narrowing_granted": {
		"otherwise": "deny",
		"remedy": "ask for a grant for action narrow on this identity, and have it approved by somebody else",
	},
	"evidence_holds": {
		"otherwise": "deny",
		"remedy": "have the use of these entitlements collected again; what is there is too old, too short or not complete",
	},
	"identity_in_good_standing": {
		"otherwise": "deny",
		"remedy": "have the identity's session, credential and account looked at",
	},
	"device_compliant": {
		"otherwise": "deny",
		"remedy": "bring the machine back into compliance",
	},
	"device_report_fresh": {
		"otherwise": "deny",
		"remedy": "wait for the machine's next posture report",
	},
	"assurance_strong": {
		"otherwise": "step_up",
		"remedy": "authenticate again, phishing-resistant",
	},
	"risk_low": {
		"otherwise": "step_up",
		"remedy": "authenticate again, phishing-resistant",
	},
	"changes_allowed": {
		"otherwise": "constrain",
		"remedy": "a review changes nothing; ask to narrow one identity",
	},
}

held_by := data.policies.entitlement_review.identities

met contains "action_known" if input.action.name in {"review", "narrow"}

met contains "reviewer_approved" if input.subject.id in data.policies.entitlement_review.reviewers

met contains "identity_known" if held_by[input.resource.id]

met contains "identity_known" if {
	input.resource.id == "all"
	input.action.name == "review"
}

met contains "duties_separated" if input.action.name == "review"

met contains "duties_separated" if {
	is_string(input.resource.id)
	input.resource.id != input.subject.id
}

grants := [grant |
	some grant in postern.grants_for(input.action, input.resource)
	postern.fresh(grant, data.policies.entitlement_review.grant_max_age_s)
]

met contains "narrowing_granted" if input.action.name == "review"

met contains "narrowing_granted" if count(grants) > 0

met contains "evidence_holds" if input.action.name == "review"

met contains "evidence_holds" if {
	found := finding(input.resource.id)
	found.evidence.stale == false
}

met contains "identity_in_good_standing" if postern.identity_in_good_standing

met contains "device_compliant" if input.device.compliant == true

met contains "device_report_fresh" if postern.fresh(input.device, data.policies.entitlement_review.device_max_age_s)

# Exact names of CAEP's assurance-level-change; "at least" has no meaning between two namespaces.
met contains "assurance_strong" if {
	input.trust.assurance.namespace == "NIST-AAL"
	input.trust.assurance.current_level in data.policies.entitlement_review.assurance_levels
}

met contains "risk_low" if {
	postern.risk_at_most(input.trust.risk_level, "low")
	postern.fresh(input.trust, data.policies.entitlement_review.trust_max_age_s)
}

met contains "changes_allowed" if input.action.name == "narrow"

default grants_to_use := []

grants_to_use := postern.grant_to_use(grants) if input.action.name == "narrow"

permitted if postern.effect_of(requirements, met) in {"allow", "constrain"}

# METADATA
# title: The review itself
# description: |
#   Defined only for who is permitted to see it; for anybody else the query has no result at all.
# entrypoint: true
report := review if permitted

# The findings leave as an obligation, AuthZEN's carrier for what an enforcement point has to do with a permit: show
# these, and on narrow set these. Constraints bound the action itself, and a point that does not know a key of theirs
# must deny; a list of findings bounds nothing.
default obligations := []

obligations := [{
	"id": "entitlement-review",
	"type": "urn:postern:obligation:entitlement-review",
	"properties": review,
}] if {
	permitted
}

# METADATA
# title: The decision on one review
# entrypoint: true
decision := postern.decide(requirements, met, {
	"policy": "entitlement_review",
	"constraints": data.policies.entitlement_review.view,
	"step_up": {"acr_values": data.policies.entitlement_review.acr_values},
	"grants": grants_to_use,
	"obligations": obligations,
})
