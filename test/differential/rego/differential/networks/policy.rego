# Addresses, versions and patterns.
package differential.networks

inside if {
	cidr(input.cidr)
	is_address(input.address)
	net.cidr_contains(input.cidr, input.address)
}

overlapping if {
	cidr(input.cidr)
	cidr(input.other)
	net.cidr_intersects(input.cidr, input.other)
}

# The compiled functions take rubbish behind a prefix length; these do not.
cidr(text) if regex.match(`^[0-9a-f.:]+/[0-9]{1,2}$`, text)

is_address(text) if regex.match(`^[0-9a-f.:]+$`, text)

matches := net.cidr_contains_matches([input.cidr, input.other], [input.address, "10.0.0.1"])

merged := net.cidr_merge([input.cidr, input.other])

valid if net.cidr_is_valid(input.cidr)

newer := semver.compare(input.version, input.wanted)

is_version if semver.is_valid(input.version)

allowed if {
	is_address(input.address)
	some range in data.differential.networks.ranges
	net.cidr_contains(range, input.address)
}

named if {
	not contains(input.host, "\n")
	regex.match(`^[^{}\x00]*(\{[^{}\x00]*\}[^{}\x00]*)*$`, input.glob)
	glob.match(input.glob, ["."], input.host)
}

quoted := glob.quote_meta(input.glob)

matched if regex.match(pattern, input.host)

# The compiled regular expressions end at a zero byte.
pattern := input.pattern if not contains(input.pattern, "\u0000")

template if regex.template_match("urn:{.*}:x", input.host, "{", "}")

is_pattern if regex.is_valid(pattern)

first := regex.find_n(pattern, input.host, 1)
