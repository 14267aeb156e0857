# Rests on a builtin that the host answers, as a policy may that asks for it the right way and the wrong way round.
package authz

import data.numbers

decision := {"effect": "allow", "policy": "builtins"} if {
	input.action.name == "parsed"
	units.parse(input.context.text) == 7
}

# What is undefined permits here: only what OPA itself leaves undefined may be.
decision := {"effect": "allow", "policy": "builtins"} if {
	input.action.name == "not_parsed"
	not eight
}

eight if units.parse(input.context.text) == 8

decision := {"effect": "constrain", "policy": "builtins", "constraints": {"max_rows": numbers.product}} if {
	input.action.name == "multiplied"
}

decision := {"effect": "allow", "policy": "builtins"} if input.action.name == "canary"
