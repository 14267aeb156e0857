# What tests of the whole process need judged: one action that is always right, one that rests on grants, one on the device.
package authz

decision := {"effect": "allow", "policy": "process", "met": ["canary"]} if input.action.name == "canary"

# Rests on the grant that the request names, used up or not by the time that the answer goes out.
decision := {"effect": "allow", "policy": "process", "grants": [input.context.grant]} if {
	input.action.name == "deploy"
	_shown(input.context.grant)
}

decision := {"effect": "deny", "policy": "process", "reasons": [{"code": "grant_in_hand"}]} if {
	input.action.name == "deploy"
	not _shown(input.context.grant)
}

_shown(id) if {
	some grant in input.grants
	grant.id == id
}

decision := {"effect": "allow", "policy": "process", "met": ["device_compliant"]} if {
	input.action.name == "read"
	input.device.compliant == true
}

decision := {"effect": "deny", "policy": "process", "reasons": [{"code": "device_compliant"}]} if {
	input.action.name == "read"
	not input.device.compliant == true
}

# The decision document is the caller's own text: a policy may say anything.
decision := json.unmarshal(input.context.document) if input.action.name == "say"
