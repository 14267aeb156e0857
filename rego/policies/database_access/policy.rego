# METADATA
# scope: package
# title: An agent queries a database
# description: |
#   Read-only, only an approved workload, and only data whose classification fits the task. Classification and task come
#   from the owner's data, never from the request: what the caller says of either only picks the row.
package policies.database_access

import data.postern

applies if input.resource.type == "database"

requirements := {
	"action_known": {
		"otherwise": "deny",
		"remedy": "ask for an action that this database is open for",
	},
	"workload_approved": {
		"otherwise": "deny",
		"remedy": "ask the data owner to approve this workload for this database",
	},
	"task_assigned": {
		"otherwise": "deny",
		"remedy": "name in context.task a task that this workload is assigned to",
	},
	"classification_fits_task": {
		"otherwise": "deny",
		"remedy": "ask for data that the task may see, or have the task's owner extend it",
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
		"remedy": "authenticate again, phishing-resistant",
	},
	"read_only_replica": {
		"otherwise": "constrain",
		"remedy": "the session is read-only and limited; a public replica is not",
	},
}

# What the owners keep; a database or task that is in no list is undefined here, and every requirement on it unmet.
database := data.policies.database_access.databases[input.resource.id]

task := data.policies.database_access.tasks[input.context.task]

met contains "action_known" if input.action.name in database.actions

met contains "workload_approved" if input.subject.id in database.workloads

met contains "task_assigned" if input.subject.id in task.workloads

met contains "classification_fits_task" if database.classification in task.classifications

met contains "identity_in_good_standing" if postern.identity_in_good_standing

met contains "device_compliant" if input.device.compliant == true

met contains "device_report_fresh" if postern.fresh(input.device, data.policies.database_access.device_max_age_s)

met contains "risk_low" if {
	postern.risk_at_most(input.trust.risk_level, "low")
	postern.fresh(input.trust, data.policies.database_access.trust_max_age_s)
}

met contains "read_only_replica" if {
	database.read_only_replica == true
	database.classification == "public"
}

default session_limits := {"max_rows": 1, "statement_timeout_ms": 1000}

session_limits := database.limits

# METADATA
# title: The decision on one query
# entrypoint: true
decision := postern.decide(requirements, met, {
	"policy": "database_access",
	"constraints": object.union(session_limits, {"read_only": true}),
	"step_up": {"acr_values": data.policies.database_access.acr_values},
	"ttl_s": data.policies.database_access.ttl_s,
	"grants": [],
})
