# METADATA
# scope: package
# title: What every policy stands on
# description: |
#   A policy names its requirements and the set of those that are met; what is undefined is simply not met. Nothing here
#   loops over the input, and nothing here can be made to open by leaving something out.
package postern

# METADATA
# title: decide(requirements, met, options)
# description: |
#   Any unmet `deny` denies; else any unmet `step_up` steps up; else any unmet `constrain` constrains; else allow. An
#   `otherwise` that is none of the four effects counts as `deny`. The unmet requirements are the reasons.
#   `options` are `policy`, `constraints`, `step_up`, `ttl_s`, `grants`, `obligations` and `labels`. One by another name
#   stays in the document, where the sidecar refuses it: asking here as well would cost a microsecond a decision.
decide(requirements, met, options) := _judged(_unmet(requirements, met), met, options) if {
	is_object(requirements)
	requirements != {}
	is_set(met)
	is_object(options)
} else := _refused("requirements_missing", "give the policy at least one requirement") if {
	not _names_something(requirements)
} else := _refused("policy_malformed", "give met as a set and options as an object")

_names_something(requirements) if {
	is_object(requirements)
	requirements != {}
}

# METADATA
# title: effect_of(requirements, met)
# description: The effect that `decide` would come to, for a policy that has more to prepare where it permits.
effect_of(requirements, met) := "deny" if {
	not _names_something(requirements)
} else := "deny" if {
	not is_set(met)
} else := _strictest(_unmet(requirements, met))

# The caller speaks for itself or is a relay; no policy can leave this out, and none can meet it by naming it.
_unmet(requirements, met) := unmet if {
	caller_may_speak
	unmet := object.remove(requirements, met)
} else := object.union(object.remove(requirements, met), {"subject_not_caller": {
	"otherwise": "deny",
	"remedy": "ask in your own name, or have this caller configured as a relay",
}})

_judged(unmet, met, options) := _document(_strictest(unmet), unmet, met, options)

# One look at the kinds as a set: cheaper in the compiled module than asking each requirement for each effect.
_strictest(unmet) := _strictest_kind({_kind(requirement) | some requirement in unmet})

_strictest_kind(kinds) := "deny" if {
	"deny" in kinds
} else := "step_up" if {
	"step_up" in kinds
} else := "constrain" if {
	"constrain" in kinds
} else := "allow"

# Chained, not looked up: an `otherwise` that is missing, misspelt or no string at all falls through to deny.
_kind(requirement) := "deny" if {
	requirement.otherwise == "deny"
} else := "step_up" if {
	requirement.otherwise == "step_up"
} else := "constrain" if {
	requirement.otherwise == "constrain"
} else := "allow" if {
	requirement.otherwise == "allow"
} else := "deny"

# The effect, its reasons and what is met come last in each union, so that no option of such a name takes their place.
_document("deny", unmet, met, options) := _denied(unmet, met, options)

_document("step_up", unmet, met, options) := object.union(
	object.remove(options, {"constraints", "ttl_s", "grants", "obligations"}),
	{"effect": "step_up", "reasons": _reasons(unmet), "met": sort(met)},
) if {
	_acr_values(options)
} else := _denied(
	object.union(unmet, {"step_up_missing": {
		"otherwise": "deny",
		"remedy": "have the policy's owner name the acr_values to step up to",
	}}),
	met, options,
)

_document("constrain", unmet, met, options) := object.union(
	object.remove(options, {"step_up"}),
	{"effect": "constrain", "reasons": _reasons(unmet), "met": sort(met)},
) if {
	is_object(options.constraints)
	options.constraints != {}
} else := _denied(
	object.union(unmet, {"constraints_missing": {
		"otherwise": "deny",
		"remedy": "have the policy's owner say what the constraints are",
	}}),
	met, options,
)

_document("allow", _, met, options) := object.union(
	object.remove(options, {"constraints", "step_up"}),
	{"effect": "allow", "reasons": [], "met": sort(met)},
)

# What permits goes no further: a deny or a challenge carries no constraint, no grant to spend and no obligation that
# could hold what the caller may not see.
_denied(unmet, met, options) := object.union(
	object.remove(options, {"constraints", "step_up", "ttl_s", "grants", "obligations"}),
	{"effect": "deny", "reasons": _reasons(unmet), "met": sort(met)},
)

_acr_values(options) if {
	is_array(options.step_up.acr_values)
	count(options.step_up.acr_values) > 0
}

# Sorted by code: a set or an object has no order of its own in the compiled module.
_reasons(unmet) := [_reason(code, unmet[code]) |
	some code in sort(object.keys(unmet))
	_kind(unmet[code]) != "allow"
]

_reason(code, requirement) := object.union(
	object.filter(requirement, {"message", "remedy"}),
	{"code": code, "otherwise": _kind(requirement)},
) if {
	is_object(requirement)
} else := {"code": code, "otherwise": "deny"}

_refused(code, remedy) := {
	"effect": "deny",
	"reasons": [{"code": code, "otherwise": "deny", "remedy": remedy}],
	"met": [],
}
