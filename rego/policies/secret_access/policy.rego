# METADATA
# scope: package
# title: A service account reads a secret
# description: |
#   Only from a compliant environment, and only a secret that the current transaction needs. The request names a
#   transaction; that it is open, that it is this workload's and which secrets it needs is the orchestrator's word, which
#   comes as a signal about the workload:
#   `{"transactions": {"tx-91": {"secrets": ["billing/stripe-key"]}}}`.
package policies.secret_access

import data.postern

applies if input.resource.type == "secret"

requirements := {
	"action_known": {
		"otherwise": "deny",
		"remedy": "the only action on a secret is read",
	},
	"consumer_approved": {
		"otherwise": "deny",
		"remedy": "ask the secret's owner to approve this consumer",
	},
	"transaction_needs_secret": {
		"otherwise": "deny",
		"remedy": "name in context.transaction an open transaction of this workload that needs this secret",
	},
	"identity_in_good_standing": {
		"otherwise": "deny",
		"remedy": "have the identity's session, credential and account looked at",
	},
	"device_compliant": {
		"otherwise": "deny",
		"remedy": "bring the node back into compliance",
	},
	"device_report_fresh": {
		"otherwise": "deny",
		"remedy": "wait for the node's next posture report",
	},
	"risk_low": {
		"otherwise": "step_up",
		"remedy": "have the workload's credential renewed and its risk reassessed",
	},
	"handling_plain": {
		"otherwise": "constrain",
		"remedy": "the secret is handed out on a short lease",
	},
}

secret := data.policies.secret_access.secrets[input.resource.id]

met contains "action_known" if input.action.name == "read"

met contains "consumer_approved" if input.subject.id in secret.consumers

# Asked of one source's own report, not of the workload as a whole: a fresh word of another source about something else
# would make an old list of transactions look fresh.
met contains "transaction_needs_secret" if {
	some orchestrator in data.policies.secret_access.orchestrators
	report := input.workload.sources[orchestrator]
	postern.fresh(report, data.policies.secret_access.transaction_max_age_s)
	input.resource.id in report.attributes.transactions[input.context.transaction].secrets
}

met contains "identity_in_good_standing" if postern.identity_in_good_standing

met contains "device_compliant" if input.device.compliant == true

met contains "device_report_fresh" if postern.fresh(input.device, data.policies.secret_access.device_max_age_s)

met contains "risk_low" if {
	postern.risk_at_most(input.trust.risk_level, "low")
	postern.fresh(input.trust, data.policies.secret_access.trust_max_age_s)
}

met contains "handling_plain" if secret.handling == "plain"

default lease := {"secret_max_ttl_s": 1, "secret_max_uses": 1}

lease := secret.lease

# METADATA
# title: The decision on one read
# entrypoint: true
decision := postern.decide(requirements, met, {
	"policy": "secret_access",
	"constraints": lease,
	"step_up": {"acr_values": data.policies.secret_access.acr_values},
	"grants": [],
})
