package postern

# METADATA
# title: The one artifact digest that the request names
# description: |
#   `digest` in the resource's or the action's properties or in the context. Undefined where the request names none, or
#   two that differ: which of them would be deployed is then anybody's guess.
named_digest := digest if {
	count(_named_digests) == 1
	some digest in _named_digests
	is_string(digest)
}

_named_digests contains input.resource.properties.digest

_named_digests contains input.action.properties.digest

_named_digests contains input.context.digest

# METADATA
# title: provenance_of(digest, builders)
# description: |
#   The verified SLSA provenance for one artifact by builders the owner trusts, each for the build types listed with it:
#   `{"<builder id>": {"build_types": ["…"]}}`. The sidecar keeps only attestations whose signature it verified; which
#   builder may vouch for which artifact is the policy's to say.
provenance_of(digest, builders) := [attestation |
	some attestation in input.attestations
	attestation.verified == true
	attestation.type == "https://slsa.dev/provenance/v1"
	attestation.digest == digest
	attestation.build_type in builders[attestation.builder].build_types
]
