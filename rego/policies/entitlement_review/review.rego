package policies.entitlement_review

import data.postern

# What an identity holds against what it used, over the window that ends where the evidence ends: a right nobody looked
# at since is not thereby unused. Everything is listed, nothing is cut by listing it.

_window_s := data.policies.entitlement_review.window_days * 86400

_reviewed contains input.resource.id if held_by[input.resource.id]

_reviewed contains identity if {
	input.resource.id == "all"
	some identity, _ in held_by
}

# METADATA
# title: Who holds more than it used, the narrowed set for each, and who could not be judged
review := {
	"window_days": data.policies.entitlement_review.window_days,
	"overprivileged": [found |
		some identity in sort(_reviewed)
		found := finding(identity)
		_holds_more(found)
	],
	"in_use": [identity |
		some identity in sort(_reviewed)
		found := finding(identity)
		not _holds_more(found)
	],
	"not_judged": [{"identity": identity, "because": reason} |
		some identity in sort(_reviewed)
		reason := _cannot_judge(identity)
	],
}

# METADATA
# title: finding(identity)
# description: Undefined for an identity that cannot be judged.
finding(identity) := {
	"identity": identity,
	"granted": [_right(right) | some right in held_by[identity].granted],
	"narrowed": _in_order(narrowed),
	"unused": [object.union(_right(right), _last_used(right, held_by[identity].used)) |
		some right in held_by[identity].granted
		count(_kept_of(identity, right)) == 0
	],
	"kept": [object.union(_right(right), {"because": reason}) |
		some right in held_by[identity].granted
		reason := _reason_to_keep(identity, right)
	],
	"evidence": _evidence(held_by[identity].evidence),
} if {
	not _cannot_judge(identity)
	narrowed := {kept |
		some right in held_by[identity].granted
		some kept in _kept_of(identity, right)
	}
}

_holds_more(found) if {right | some right in found.narrowed} != {right | some right in found.granted}

# What stays of one right: itself where it was used or there is a reason to keep it; a pattern narrows to the resources
# used under it and never to a guess.
_kept_of(identity, right) := {_right(right)} if {
	_reason_to_keep(identity, right)
} else := {{"action": used.action, "resource": used.resource} |
	some used in held_by[identity].used
	used.action == right.action
	postern.pattern_names(right.resource, used.resource)
	postern.epoch_s(used.last_used) > _window_start(identity)
}

_reason_to_keep(_, right) := right.keep

_reason_to_keep(identity, right) := "younger_than_window" if {
	not right.keep
	postern.epoch_s(right.since) > _window_start(identity)
}

_cannot_judge(identity) := "evidence_not_complete" if {
	not held_by[identity].evidence.complete == true
} else := "evidence_not_dated" if {
	not _dated(held_by[identity])
} else := "evidence_shorter_than_window" if {
	postern.epoch_s(held_by[identity].evidence.from) > _window_start(identity)
}

# A use or a right without a time that can be read would count for nothing, and what counts for nothing would be cut.
_dated(held) if {
	postern.epoch_s(held.evidence.from)
	postern.epoch_s(held.evidence.to)
	every right in held.granted {
		postern.epoch_s(right.since)
	}
	every used in held.used {
		postern.epoch_s(used.last_used)
	}
}

_window_start(identity) := postern.epoch_s(held_by[identity].evidence.to) - _window_s

_right(right) := {"action": right.action, "resource": right.resource}

_in_order(rights) := [{"action": pair[0], "resource": pair[1]} |
	some pair in sort({[right.action, right.resource] | some right in rights})
]

# The last use, where there was one before the window; `via` tells the owner where to take the right away.
_last_used(right, uses) := object.union(_via(right), {"last_used": max(times)}) if {
	times := {used.last_used |
		some used in uses
		used.action == right.action
		postern.pattern_names(right.resource, used.resource)
	}
	count(times) > 0
} else := _via(right)

_via(right) := {"via": right.via} if {
	right.via
} else := {}

_evidence(evidence) := {
	"source": evidence.source,
	"from": evidence.from,
	"to": evidence.to,
	"stale": stale,
} if {
	age := postern.seconds_since(evidence.to)
	limit := data.policies.entitlement_review.evidence_max_age_days * 86400
	stale := _stale(age, limit)
}

_stale(age, limit) := false if {
	postern.at_least(age, 0)
	postern.at_most(age, limit)
} else := true
