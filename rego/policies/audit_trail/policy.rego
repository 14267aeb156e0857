# METADATA
# scope: package
# title: An auditor reads the trail
# description: |
#   Reading shows every decision with what callers wrote masked; checking that the trail is whole shows nothing of it and
#   needs no mask. Unmasked reading takes a just-in-time grant, so that who looked at what leaves its own trace.
package policies.audit_trail

import data.postern

applies if input.resource.type == "decision_log"

requirements := {
	"trail_known": {
		"otherwise": "deny",
		"remedy": "name the sidecar whose trail it is",
	},
	"auditor_approved": {
		"otherwise": "deny",
		"remedy": "ask the owner of the trail to approve this auditor for this action",
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
	"unmasked_allowed": {
		"otherwise": "constrain",
		"remedy": "what callers wrote is masked; ask for a grant to read it",
	},
}

met contains "trail_known" if input.resource.id in data.policies.audit_trail.trails

met contains "auditor_approved" if {
	input.action.name in data.policies.audit_trail.auditors[input.subject.id].actions
}

met contains "identity_in_good_standing" if postern.identity_in_good_standing

met contains "device_compliant" if input.device.compliant == true

met contains "device_report_fresh" if postern.fresh(input.device, data.policies.audit_trail.device_max_age_s)

# Exact names of CAEP's assurance-level-change; "at least" has no meaning between two namespaces.
met contains "assurance_strong" if {
	input.trust.assurance.namespace == "NIST-AAL"
	input.trust.assurance.current_level in data.policies.audit_trail.assurance_levels
}

met contains "risk_low" if {
	postern.risk_at_most(input.trust.risk_level, "low")
	postern.fresh(input.trust, data.policies.audit_trail.trust_max_age_s)
}

grants := [grant |
	some grant in postern.grants_for(input.action, input.resource)
	postern.fresh(grant, data.policies.audit_trail.grant_max_age_s)
]

met contains "unmasked_allowed" if input.action.name == "verify"

met contains "unmasked_allowed" if count(grants) > 0

default grants_to_use := []

grants_to_use := postern.grant_to_use(grants) if input.action.name == "read"

# METADATA
# title: The decision on one look at the trail
# entrypoint: true
decision := postern.decide(requirements, met, {
	"policy": "audit_trail",
	"constraints": data.policies.audit_trail.view,
	"step_up": {"acr_values": data.policies.audit_trail.acr_values},
	"grants": grants_to_use,
})
