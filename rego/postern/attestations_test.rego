package postern_test

import data.postern
import data.testing

digest := "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

builders := {"https://builder.example/release": {"build_types": ["https://build.example/v1"]}}

attestation := {
	"type": "https://slsa.dev/provenance/v1",
	"verified": true,
	"builder": "https://builder.example/release",
	"build_type": "https://build.example/v1",
	"digest": digest,
	"source_repository": "https://git.example/payments",
}

test_the_digest_may_stand_in_any_of_three_places if {
	postern.named_digest == digest with input as {"resource": {"properties": {"digest": digest}}}
	postern.named_digest == digest with input as {"action": {"properties": {"digest": digest}}}
	postern.named_digest == digest with input as {"context": {"digest": digest}}
	postern.named_digest == digest with input as {"action": {"properties": {"digest": digest}}, "context": {"digest": digest}}
}

test_two_digests_name_none if {
	not postern.named_digest with input as {
		"action": {"properties": {"digest": digest}},
		"context": {"digest": "sha256:00"},
	}
	not postern.named_digest with input as {}
	not postern.named_digest with input as {"context": {"digest": null}}
}

test_provenance_by_a_trusted_builder_counts if {
	postern.provenance_of(digest, builders) == [attestation] with input as {"attestations": [attestation]}
}

test_provenance_with_anything_amiss_does_not_count if {
	every change in [
		{"/type": "https://slsa.dev/verification_summary/v1"},
		{"/verified": false},
		{"/verified": "true"},
		{"/builder": "https://builder.example/release2"},
		{"/build_type": "https://build.example/v2"},
		{"/digest": "sha256:00"},
		{"/digest": null},
	] {
		shown := testing.changed(attestation, change)
		postern.provenance_of(digest, builders) == [] with input as {"attestations": [shown]}
	}
	every member in ["type", "verified", "builder", "build_type", "digest"] {
		shown := object.remove(attestation, [member])
		postern.provenance_of(digest, builders) == [] with input as {"attestations": [shown]}
	}
}

test_no_builders_no_provenance if {
	postern.provenance_of(digest, {}) == [] with input as {"attestations": [attestation]}
	postern.provenance_of(digest, null) == [] with input as {"attestations": [attestation]}
	postern.provenance_of(digest, builders) == [] with input as {}
}
