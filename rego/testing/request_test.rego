# METADATA
# scope: package
# title: Inputs for the tests of the library and the policies
package testing

# METADATA
# title: request(subject, action, resource, context)
# description: What an identity in good standing asks from a compliant machine, at 10:00 on 2 November 2026.
request(id, action, resource, context) := {
	"subject": {"type": "workload", "id": id, "properties": {}},
	"action": {"name": action, "properties": {}},
	"resource": resource,
	"context": context,
	"caller": {"id": id, "method": "configured", "claims": {}, "age_s": 0, "relay": false},
	"device": {
		"id": "node-7",
		"known": true,
		"compliant": true,
		"attributes": {"compliant": true},
		"observed_at": "2026-11-02T09:59:48.000Z",
		"age_s": 12,
		"source": "mdm",
		"sources": {"mdm": {
			"attributes": {"compliant": true},
			"observed_at": "2026-11-02T09:59:48.000Z",
			"age_s": 12,
		}},
	},
	"trust": {
		"risk_level": "low",
		"session": {"revoked": false},
		"assurance": {"namespace": "NIST-AAL", "current_level": "nist-aal3"},
		"attributes": {"risk_level": "low"},
		"age_s": 40,
		"sources": ["idp"],
	},
	"workload": {"id": id, "known": false},
	"grants": [],
	"attestations": [],
	"environment": {
		"now": "2026-11-02T10:00:00.000Z",
		"now_ns": 1793613600000000000,
		"bundle": {"revision": "starter-0123456789ab", "age_s": 9},
		"sidecar": {"id": "starter", "labels": {}},
	},
}

# METADATA
# title: changed(input, changes)
# description: |
#   A request with some members set to other values; a path that is not there is made. `changes` maps paths to values,
#   e.g. `{"/device/age_s": 301}`.
changed(base, changes) := json.patch(base, [{"op": "add", "path": path, "value": value} | some path, value in changes])

# METADATA
# title: without(input, path)
without(base, path) := json.remove(base, [path])

# METADATA
# title: unmet(decision)
unmet(decision) := [reason.code | some reason in decision.reasons]

# METADATA
# title: tampered(input, changes, values)
# description: |
#   A request after `changes`, and with one more member left out or given one of `values`, for every other member at every
#   depth. What is asked is left alone, since another subject, action or resource is another question.
tampered(base, changes, values) := [result |
	request := changed(base, changes)
	some [path, _] in paths(request)
	every spared, _ in changes {
		not startswith(spared, path)
		not startswith(path, spared)
	}
	some patch in array.concat(
		[{"op": "remove", "path": path}],
		[{"op": "replace", "path": path, "value": value} | some value in values],
	)
	result := json.patch(request, [patch])
]

# METADATA
# title: odd_values
# description: |
#   Those that a careless comparison takes: null is less than every number, and texts and objects are more. How the
#   compiled policies bear every kind, several at once, is tested with the sidecar (test/author/stays-closed.long.test.ts).
odd_values := [null, -1, "nothing", {}]

# METADATA
# title: paths(input)
# description: Every member of the half that the sidecar writes, and of what the caller says beside its question.
paths(base) := [[concat("/", array.concat([""], [escaped(segment) | some segment in path])), value] |
	walk(base, [path, value])
	count(path) > 0
	path[0] in {"context", "caller", "device", "trust", "workload", "grants", "attestations"}
]

escaped(segment) := replace(replace(sprintf("%v", [segment]), "~", "~0"), "/", "~1")

# METADATA
# title: openness
# description: How far an effect opens; what is no effect opens nothing.
openness(decision) := object.get({"allow": 3, "constrain": 2, "step_up": 1, "deny": 0}, decision.effect, 0)
