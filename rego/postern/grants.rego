package postern

# METADATA
# title: grants_for(action, resource)
# description: |
#   The subject's active grants that name the action, the resource and its type. The sidecar shows a policy active grants
#   of the subject only, and takes the use when the decision permits.
grants_for(action, resource) := [grant |
	some grant in input.grants
	_named(grant.id)
	action.name in grant.actions
	object.get(grant, "resource_type", resource.type) == resource.type
	_any_names(grant.resources, resource.id)
]

_any_names(patterns, id) if {
	some pattern in patterns
	pattern_names(pattern, id)
}

# METADATA
# title: grant_to_use(grants)
# description: |
#   The ids for `options.grants`: one grant, since one action needs one. One without a limit before one that is used up
#   by it, then the one that ends first, so that the longest right is spent last. None: an empty array.
grant_to_use(grants) := [ranked[0][2]] if {
	ranked := sort([[_limited(grant), object.get(grant, "expires_at", ""), grant.id] | some grant in grants])
	count(ranked) > 0
} else := []

_limited(grant) := 1 if {
	is_number(grant.uses_left)
} else := 0

# METADATA
# title: pattern_names(pattern, id)
# description: |
#   `prod/*` names the literal children of `prod`: one more segment, not empty, not `.` or `..`, without slash,
#   backslash, percent or control characters, since an id that some reader might decode or resolve into another one is
#   not a literal child. Anything else names itself only. The sidecar's own table is `patternNames` in
#   src/domain/grant.ts; rego/testing/grant_patterns/data.json holds both.
pattern_names(pattern, id) if {
	not endswith(pattern, "/*")
	is_string(id)
	pattern == id
}

pattern_names(pattern, id) if {
	endswith(pattern, "/*")
	parent := trim_suffix(pattern, "*")
	startswith(id, parent)
	_literal_segment(trim_prefix(id, parent))
}

# Character by character and without regex, which would link a regex engine into every compiled module: 420 KB for 145.
_literal_segment(segment) if {
	not segment in {"", ".", ".."}
	every character in split(segment, "") {
		not character in {"/", "\\", "%"}
		_no_control(character)
	}
}

# Unicode's control characters are U+0000 to U+001F and U+007F to U+009F.
_no_control(character) if {
	character >= " "
	character < "\u007f"
}

_no_control(character) if character > "\u009f"
