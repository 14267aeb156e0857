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
} else := _denied("policy_ambiguous", "have the owners of the policies that apply settle which of them does") if {
	count(_applicable) > 1
} else := _denied("policy_undefined", "have the policy give a decision for every request") if {
	count(_applicable) == 1
} else := _denied("no_policy_applies", "ask for a policy for resources of this type")

_denied(code, remedy) := {
	"effect": "deny",
	"reasons": [{"code": code, "otherwise": "deny", "remedy": remedy}],
}
