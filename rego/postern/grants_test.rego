package postern_test

import data.postern
import data.testing

# The table of rego/testing/grant_patterns/data.json, which the sidecar's own matcher is held to as well.
test_patterns_name_what_the_shared_table_says if {
	count(testing.grant_patterns.rows) > 40
	every row in testing.grant_patterns.rows {
		names(row.pattern, row.id) == row.names
	}
}

names(pattern, id) if {
	postern.pattern_names(pattern, id)
} else := false

test_patterns_of_other_kinds_name_nothing if {
	every pattern in [null, 1, ["prod/a"], {}] {
		not postern.pattern_names(pattern, "prod/a")
	}
	every id in [null, 1, ["prod/a"], {}] {
		not postern.pattern_names("prod/*", id)
		not postern.pattern_names(id, id)
	}
}

grant := {
	"id": "g-1",
	"actions": ["deploy"],
	"resources": ["prod/*"],
	"reason": "release 41",
	"approver": "ann",
	"expires_at": "2026-11-02T11:00:00.000Z",
	"uses_left": 1,
	"age_s": 60,
}

action := {"name": "deploy"}

resource := {"type": "environment", "id": "prod/payments"}

test_grants_for_takes_what_covers if {
	postern.grants_for(action, resource) == [grant] with input as {"grants": [grant]}
}

test_grants_for_leaves_what_does_not_cover if {
	every change in [
		{"/actions": ["read"]},
		{"/actions": []},
		{"/actions": null},
		{"/actions": {"deploy": true}},
		{"/resources": ["staging/*"]},
		{"/resources": []},
		{"/resources": null},
		{"/resource_type": "database"},
		{"/resource_type": null},
		{"/id": ""},
		{"/id": null},
		{"/id": ["g-1"]},
	] {
		shown := testing.changed(grant, change)
		postern.grants_for(action, resource) == [] with input as {"grants": [shown]}
	}
}

test_grants_for_without_grants_is_empty if {
	postern.grants_for(action, resource) == [] with input as {}
	postern.grants_for(action, resource) == [] with input as {"grants": null}
	postern.grants_for(action, {"type": "environment"}) == [] with input as {"grants": [grant]}
	postern.grants_for({}, resource) == [] with input as {"grants": [grant]}
}

test_a_grant_for_the_resources_type_covers if {
	shown := testing.changed(grant, {"/resource_type": "environment"})
	postern.grants_for(action, resource) == [shown] with input as {"grants": [shown]}
}

test_the_grant_to_use_is_the_one_that_ends_first if {
	later := testing.changed(grant, {"/id": "g-2", "/expires_at": "2026-11-02T12:00:00.000Z"})
	postern.grant_to_use([later, grant]) == ["g-1"]
	postern.grant_to_use([grant, later]) == ["g-1"]
}

test_a_grant_without_a_limit_is_used_before_one_that_is_used_up if {
	unlimited := json.remove(
		testing.changed(grant, {"/id": "g-3", "/expires_at": "2026-11-03T12:00:00.000Z"}),
		["/uses_left"],
	)
	postern.grant_to_use([grant, unlimited]) == ["g-3"]
}

test_no_grant_no_use if postern.grant_to_use([]) == []
