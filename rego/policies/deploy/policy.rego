# METADATA
# scope: package
# title: A CI/CD job deploys
# description: |
#   To production only with a fresh just-in-time grant, and anywhere only an artifact that a trusted builder vouches
#   for. The artifact is the one digest that the request names; tags and file names prove nothing.
package policies.deploy

import data.postern

applies if input.resource.type == "environment"

requirements := {
	"action_known": {
		"otherwise": "deny",
		"remedy": "the only action on an environment is deploy",
	},
	"job_approved": {
		"otherwise": "deny",
		"remedy": "ask the environment's owner to approve this job",
	},
	"provenance_trusted": {
		"otherwise": "deny",
		"remedy": "name the artifact's sha256 digest, and attach provenance for it from a trusted builder",
	},
	"source_expected": {
		"otherwise": "deny",
		"remedy": "build from a source repository that this environment is open for",
	},
	"grant_in_hand": {
		"otherwise": "deny",
		"remedy": "ask for a grant for action deploy on this environment, and have it approved by somebody else",
	},
	"identity_in_good_standing": {
		"otherwise": "deny",
		"remedy": "have the identity's session, credential and account looked at",
	},
	"risk_acceptable": {
		"otherwise": "step_up",
		"remedy": "have the person responsible for the job authenticate, phishing-resistant",
	},
	"rollout_full": {
		"otherwise": "constrain",
		"remedy": "this environment takes a canary first",
	},
}

environment := data.policies.deploy.environments[input.resource.id]

met contains "action_known" if input.action.name == "deploy"

met contains "job_approved" if input.subject.id in environment.jobs

provenance := postern.provenance_of(postern.named_digest, data.policies.deploy.trusted_builders)

met contains "provenance_trusted" if count(provenance) > 0

# The same attestation that a trusted builder made says where the source came from.
met contains "source_expected" if {
	some attestation in provenance
	attestation.source_repository in environment.source_repositories
}

# A grant that was approved weeks ago and still lasts is a standing right; only one approved a short while ago counts.
grants := [grant |
	some grant in postern.grants_for(input.action, input.resource)
	postern.fresh(grant, data.policies.deploy.grant_max_age_s)
]

met contains "grant_in_hand" if environment.tier == "staging"

met contains "grant_in_hand" if count(grants) > 0

met contains "identity_in_good_standing" if postern.identity_in_good_standing

met contains "risk_acceptable" if environment.tier == "staging"

met contains "risk_acceptable" if {
	postern.risk_at_most(input.trust.risk_level, "medium")
	postern.fresh(input.trust, data.policies.deploy.trust_max_age_s)
}

met contains "rollout_full" if environment.rollout == "full"

# Staging spends nobody's grant.
default grants_to_use := []

grants_to_use := postern.grant_to_use(grants) if environment.tier != "staging"

# METADATA
# title: The decision on one deployment
# entrypoint: true
decision := postern.decide(requirements, met, {
	"policy": "deploy",
	"constraints": data.policies.deploy.canary,
	"step_up": {"acr_values": data.policies.deploy.acr_values},
	"grants": grants_to_use,
})
