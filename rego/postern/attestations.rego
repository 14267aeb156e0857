package postern

# METADATA
# title: The one artifact digest that the request names
# description: |
#   `digest` in the resource's or the action's properties or in the context. Undefined where the request names none, or
#   two that differ: which of them would be deployed is then anybody's guess.
named_digest := digest if {
	count(_named_digests) == 1
	some digest in _named_digests
}

_named_digests contains input.resource.properties.digest

_named_digests contains input.action.properties.digest

_named_digests contains input.context.digest
