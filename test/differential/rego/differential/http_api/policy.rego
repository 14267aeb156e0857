# A service's API by method and path.
package differential.http_api

default allow := false

allow if some "ok" in verdict

path := split(trim(input.path, "/"), "/")

verdict contains "ok" if {
	input.method == "GET"
	path = ["finance", "salary", user]
	user == input.user
}

verdict contains "ok" if {
	input.method in ["GET", "HEAD"]
	path = ["finance", "salary", user]
	data.differential.http_api.managers[user][_] == input.user
}

verdict contains "public" if {
	one_line(input.path)
	glob.match("/public/**", ["/"], input.path)
}

verdict contains "item" if regex.match(`^/items/[0-9a-f]{2,8}(/|$)`, input.path)

verdict contains "host" if {
	one_line(input.host)
	glob.match("*.{example,test}.org", ["."], input.host)
}

# Compiled wildcards end at a line feed.
one_line(text) if not contains(text, "\n")

verdict contains "version" if {
	[_, major] := regex.find_all_string_submatch_n(`v(\d+)\.`, input.path, 1)[0]
	to_number(major) >= 2
}

query[name] contains value if {
	some pair in split(input.query, "&")
	[name, value] := split(pair, "=")
}

decoded := urlquery.decode_object(input.query)

header[lower(name)] := value if some name, value in input.headers

bearer := substring(header.authorization, count("Bearer "), -1) if startswith(header.authorization, "Bearer ")
