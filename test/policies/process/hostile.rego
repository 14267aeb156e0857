# Policies that somebody wrote to hurt, each on its own action. All of them would permit, if they came to an end.
package authz

import data.numbers_up

_permit(labels) := {"effect": "allow", "policy": "hostile", "labels": labels}

# Two values for one rule.
decision := _permit({}) if input.action.name == "conflict"

decision := {"effect": "deny"} if input.action.name == "conflict"

# Sixteen ways to the power of eight.
decision := _permit({"n": format_int(n, 10)}) if {
	input.action.name == "exponential"
	n := count({[a, b, c, d, e, f, g, h] |
		some a in numbers_up
		some b in numbers_up
		some c in numbers_up
		some d in numbers_up
		some e in numbers_up
		some f in numbers_up
		some g in numbers_up
		some h in numbers_up
	})
}

# Loops over what the caller sent.
decision := _permit({"n": format_int(n, 10)}) if {
	input.action.name == "loops"
	n := count([1 |
		some x in input.context.numbers
		some y in input.context.numbers
		some z in input.context.numbers
		x + y == z * 0
	])
}

# As much memory as there is.
decision := _permit({"n": format_int(n, 10)}) if {
	input.action.name == "memory"
	n := count([numbers.range(1, 100000) | some _ in numbers.range(1, 100000)])
}

# An answer of a hundred megabytes.
decision := {"effect": "allow", "constraints": {"text": concat("", [x |
	some _ in numbers.range(1, 1000000)
	x := "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
])}} if {
	input.action.name == "output"
}

# A document as deep as its text is long.
decision := {"effect": "constrain", "constraints": {"document": json.unmarshal(input.context.text)}} if {
	input.action.name == "deep"
}

# Patterns that the caller wrote.
decision := _permit({}) if {
	input.action.name == "regex"
	regex.match(input.context.pattern, input.context.text)
}

decision := _permit({}) if {
	input.action.name == "glob"
	glob.match(input.context.pattern, [], "x")
}

# A number of as many bits as the caller likes.
decision := _permit({}) if {
	input.action.name == "shift"
	bits.lsh(1, input.context.bits) > 0
}

# Every place below every place below every place.
decision := _permit({"n": format_int(n, 10)}) if {
	input.action.name == "walk"
	n := count([1 |
		walk(input.context.tree, [_, x])
		walk(input.context.tree, [_, y])
		walk(input.context.tree, [_, z])
		x != y
		y != z
	])
}
