# Policies that misbehave, each on its own action, beside one that is right.
package authz

decision := {"effect": "allow", "policy": "hostile", "met": ["canary"]} if input.action.name == "canary"

# Two values for one rule: the evaluation fails.
decision := {"effect": "allow"} if input.action.name == "conflict"

decision := {"effect": "deny"} if input.action.name == "conflict"

# A pattern that the caller wrote.
decision := {"effect": "allow"} if {
	input.action.name == "glob"
	glob.match(input.context.pattern, [], "x")
}

# As much memory as the caller likes.
decision := {"effect": "allow", "labels": {"n": format_int(count(numbers.range(1, input.context.n)), 10)}} if {
	input.action.name == "hoard"
}

# A caller's text as a document, however deep.
decision := {"effect": "constrain", "constraints": {"document": json.unmarshal(input.context.text)}} if {
	input.action.name == "unmarshal"
}

# Says what it was told, if anything.
decision := {"effect": "deny", "reasons": [{"code": "told", "message": input.context.secret}]} if {
	input.action.name == "tell"
}

# As long an answer as the caller likes.
decision := {"effect": "deny", "reasons": [{"code": "long", "message": concat("", [x | some _ in numbers.range(1, input.context.n); x := "0123456789"])}]} if {
	input.action.name == "long"
}
