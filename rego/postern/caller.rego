package postern

# METADATA
# title: The caller asks in its own name
# description: Byte for byte, and only for a caller that the sidecar knows.
default subject_is_caller := false

subject_is_caller if {
	_named(input.caller.id)
	input.subject.id == input.caller.id
}

# METADATA
# title: The caller asks in its own name, or is a relay that names whom it speaks for
default caller_may_speak := false

caller_may_speak if subject_is_caller

caller_may_speak if {
	input.caller.relay == true
	_named(input.caller.id)
	_named(input.subject.id)
}

# METADATA
# title: Nothing that has happened to the subject's identity speaks against it
# description: |
#   Sessions revoked, identities disabled and credentials found outside are events: nobody having reported one is the
#   normal case, so absence is met here, and anything but an explicit `false` is not.
default identity_in_good_standing := false

identity_in_good_standing if {
	input.trust.session.revoked == false
	object.get(input.trust, "identity_disabled", false) == false
	object.get(input.trust, "credential_compromised", false) == false
}

_named(id) if {
	is_string(id)
	id != ""
}
