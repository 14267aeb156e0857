# Roles, what binds users to them, and what they permit.
package differential.rbac

default allow := false

allow if {
	some role in roles
	some permission in data.differential.rbac.permissions[role]
	permission.action in {input.action, "*"}
	permission.type == input.type
}

roles contains role if some role in data.differential.rbac.bindings[input.user]

roles contains role if {
	some group in input.groups
	some role in data.differential.rbac.groups[group]
}

inherited := graph.reachable(data.differential.rbac.inherits, roles)

paths := graph.reachable_paths(data.differential.rbac.inherits, roles)

by_type[permission.type] contains permission.action if {
	some role in inherited
	some permission in data.differential.rbac.permissions[role]
}

missing := {role | some role in input.wanted} - roles
