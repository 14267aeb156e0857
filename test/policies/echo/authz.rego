package authz

import data.limits

# Permits reading; anything else is undefined.
decision := {"effect": "constrain", "policy": "echo", "constraints": {"max_rows": limits.max_rows}, "met": ["reading"]} if {
	input.action.name == "read"
}

# The decision document is the caller's own text: what comes out of a policy is no more trusted than that.
decision := json.unmarshal(input.context.document) if input.action.name == "write"
