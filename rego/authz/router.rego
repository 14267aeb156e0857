# METADATA
# scope: package
# title: Which policy speaks
# description: |
#   Each package under `policies` says in `applies` which requests are its own. Adding one needs no edit here: the
#   compiler writes out the look at each `applies`, which costs about a third of a microsecond a policy (bench/evaluate.ts).
package authz

_applicable contains name if data.policies[name].applies == true

# METADATA
# title: The decision on any request
# entrypoint: true
decision := data.policies[name].decision if {
	count(_applicable) == 1
	some name in _applicable
} else := _denied("policy_ambiguous", "more than one policy applies; their owners must settle which") if {
	count(_applicable) > 1
} else := _denied("policy_undefined", "the policy gave no decision; its owner must mend it") if {
	count(_applicable) == 1
} else := _denied("no_policy_applies", "ask for a policy for resources of this type")

_denied(code, remedy) := {
	"effect": "deny",
	"reasons": [{"code": code, "otherwise": "deny", "remedy": remedy}],
}
