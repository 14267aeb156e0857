package postern_test

import data.postern

asks(caller, subject) := {"caller": caller, "subject": subject}

test_a_caller_may_speak_for_itself if {
	postern.subject_is_caller with input as asks({"id": "a", "relay": false}, {"id": "a"})
	postern.caller_may_speak with input as asks({"id": "a", "relay": false}, {"id": "a"})
}

test_ids_are_compared_byte_for_byte if {
	every id in ["A", "a ", "a/", "á", "", null] {
		postern.subject_is_caller == false with input as asks({"id": "a"}, {"id": id})
		postern.caller_may_speak == false with input as asks({"id": "a"}, {"id": id})
	}
}

test_nobody_is_nobody if {
	every id in [null, "", 0, false, [], {}] {
		postern.subject_is_caller == false with input as asks({"id": id}, {"id": id})
		postern.caller_may_speak == false with input as asks({"id": id, "relay": true}, {"id": id})
	}
	postern.caller_may_speak == false with input as {}
	postern.caller_may_speak == false with input as asks({}, {})
}

test_a_relay_speaks_for_whom_it_names if {
	postern.caller_may_speak with input as asks({"id": "gateway", "relay": true}, {"id": "a"})
	postern.subject_is_caller == false with input as asks({"id": "gateway", "relay": true}, {"id": "a"})
	postern.caller_may_speak == false with input as asks({"id": "gateway", "relay": true}, {})
	postern.caller_may_speak == false with input as asks({"relay": true}, {"id": "a"})
}

test_only_true_makes_a_relay if {
	every relay in [false, null, 1, "true", [], {}] {
		postern.caller_may_speak == false with input as asks({"id": "gateway", "relay": relay}, {"id": "a"})
	}
}

test_standing_is_good_while_no_event_speaks_against_it if {
	postern.identity_in_good_standing with input as {"trust": {"session": {"revoked": false}}}
	postern.identity_in_good_standing with input as {"trust": {
		"session": {"revoked": false},
		"identity_disabled": false,
		"credential_compromised": false,
	}}
}

test_standing_is_lost_by_anything_but_false if {
	every value in [true, null, 0, "", "false", [], {}] {
		postern.identity_in_good_standing == false with input as {"trust": {"session": {"revoked": value}}}
		every event in ["identity_disabled", "credential_compromised"] {
			trust := {"session": {"revoked": false}, event: value}
			postern.identity_in_good_standing == false with input as {"trust": trust}
		}
	}
	postern.identity_in_good_standing == false with input as {}
	postern.identity_in_good_standing == false with input as {"trust": {}}
}
